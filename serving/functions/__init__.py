"""Cloud functions: handlers that answer by the contract. What is here travels into packages, so it needs the standard
library alone, imports by relative names, and imports late whatever a first answer does not need."""
