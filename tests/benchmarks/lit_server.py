"""The same pipeline behind LitServe: ``python lit_server.py PORT MODEL``, in an environment that has it."""

import sys

import joblib
import litserve
import pandas


class Model(litserve.LitAPI):
    """As its documentation shows it: a row is decoded, predicted, encoded."""

    def setup(self, device) -> None:
        self.pipeline = joblib.load(sys.argv[2])

    def decode_request(self, request):
        return pandas.DataFrame(request["dataframe_records"])

    def predict(self, table):
        return self.pipeline.predict(table)

    def encode_response(self, answers):
        return {"predictions": answers.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(api_path="/invocations"), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
