"""Text files of tables: the encoding, the delimiter, the line of names, what is wrong with a line."""
