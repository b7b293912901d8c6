"""What every formula needs: arrays, checks, layouts, random bits and special functions, without devices."""

__all__: list[str] = []
