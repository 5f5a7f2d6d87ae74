"""What the commands of serving share: the text of a request, and a client of the server."""
