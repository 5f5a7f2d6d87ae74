"""Descriptions of what is served: OpenAPI, Swagger UI, a Postman collection."""
