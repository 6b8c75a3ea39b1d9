"""The result tables: their schema, reading and writing them, older versions."""
