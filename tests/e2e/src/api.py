# Hands a job in by the API, as a program would: signed, to the route that the template makes. The body is the argument.
import http.client
import os
import sys
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

session = boto3.Session()
apis = session.client("apigatewayv2").get_apis()["Items"]
endpoint = next(one["ApiEndpoint"] for one in apis if one["Name"] == "tieout-jobs")
request = AWSRequest("POST", f"{endpoint}/jobs", data=sys.argv[1], headers={"content-type": "application/json"})
if len(sys.argv) < 3:
    SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
prepared = request.prepare()
# The API's name leads nowhere but on AWS: the emulator goes by the header.
connection = http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc)
connection.request("POST", "/jobs", prepared.body, {**prepared.headers, "Host": urlsplit(endpoint).netloc})
response = connection.getresponse()
print(response.status, response.read().decode())
