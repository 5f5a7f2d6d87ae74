"""What is served, described: OpenAPI, a page to try it, a Postman collection."""
