"""What every formula uses: arrays, checks, layouts, random bits and special functions. It knows no devices."""

__all__: list[str] = []
