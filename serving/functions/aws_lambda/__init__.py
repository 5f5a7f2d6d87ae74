"""AWS Lambda: one handler for HTTP (API Gateway, function URL, load balancer), direct invocation, queues, objects and
table streams."""
