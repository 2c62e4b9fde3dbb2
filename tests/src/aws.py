"""What system tests and `cargo xtask aws-local` ask of AWS's API, one command a call; answers are JSON on stdout.

Where the endpoint, region and keys are comes from the environment, as for any AWS client.
"""

import json
import sys

import boto3


def every_page(client, call, key, **arguments):
    return [item for page in client.get_paginator(call).paginate(**arguments) for item in page[key]]


def open_routes(stack):
    """Gives the stack's HTTP API the routes that stand in the OpenAPI body which SAM writes for it.

    AWS reads that body itself; MiniStack does not, and answers 404 on every path. Nothing is written twice: the paths
    and their functions are read from the deployed template. What AWS would have done already is left alone.
    """
    cloudformation, gateway = boto3.client("cloudformation"), boto3.client("apigatewayv2")
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    physical = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in every_page(cloudformation, "list_stack_resources", "StackResourceSummaries", StackName=stack)
    }
    functions = boto3.client("lambda")
    [(logical, api)] = [
        (name, resource)
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::ApiGatewayV2::Api"
    ]
    known = {route["RouteKey"] for route in every_page(gateway, "get_routes", "Items", ApiId=physical[logical])}
    for path, methods in api["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            key = f"{method.upper()} {path}"
            if key in known:
                continue
            wanted = operation["x-amazon-apigateway-integration"]
            [name] = [name for name in physical if f"${{{name}.Arn}}" in wanted["uri"]["Fn::Sub"]]
            arn = functions.get_function(FunctionName=physical[name])["Configuration"]["FunctionArn"]
            integration = gateway.create_integration(
                ApiId=physical[logical],
                IntegrationType="AWS_PROXY",
                IntegrationUri=arn,
                PayloadFormatVersion=wanted["payloadFormatVersion"],
            )
            gateway.create_route(
                ApiId=physical[logical], RouteKey=key, Target=f"integrations/{integration['IntegrationId']}"
            )
    return physical[logical]


def describe(stack):
    """The stack as its users see it, after `open_routes`."""
    api = open_routes(stack)
    [found] = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {
        "status": found["StackStatus"],
        "api": api,
        "outputs": {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])},
    }


def fill(secret):
    """Puts what stands on stdin into a secret, as a person does with `aws secretsmanager put-secret-value`."""
    boto3.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=sys.stdin.read())


def physical_name(stack, logical):
    resource = boto3.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical)
    return resource["StackResourceDetail"]["PhysicalResourceId"]


def set_variables(stack, function, *variables):
    """Adds `NAME=VALUE` to a function's environment, for what the template leaves unset on purpose."""
    functions, name = boto3.client("lambda"), physical_name(stack, function)
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    environment |= dict(variable.split("=", 1) for variable in variables)
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})


def invoke(stack, function):
    """Calls a function with the event on stdin and waits for its answer."""
    answer = boto3.client("lambda").invoke(FunctionName=physical_name(stack, function), Payload=sys.stdin.read())
    text = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        sys.exit(f"{function} failed: {text}")
    return json.loads(text or "null")


def pause(queue):
    """Stops every mapping from a queue to a function, so that its messages stay where they are."""
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions = boto3.client("lambda")
    mappings = every_page(functions, "list_event_source_mappings", "EventSourceMappings", EventSourceArn=arn)
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    return len(mappings)


def receive(queue):
    """Up to ten messages of a queue, with all their attributes; hidden for a second only. Waits up to two for one."""
    answer = boto3.client("sqs").receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=2,
        VisibilityTimeout=1,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )
    return [
        {
            "body": message["Body"],
            "attributes": {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()},
            "group": message["Attributes"]["MessageGroupId"],
            "deduplication": message["Attributes"]["MessageDeduplicationId"],
        }
        for message in answer.get("Messages", [])
    ]


def log(group):
    """What a function printed so far, the platform's own lines included: a list of lines."""
    logs = boto3.client("logs")
    streams = every_page(logs, "describe_log_streams", "logStreams", logGroupName=group)
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]


COMMANDS = {command.__name__: command for command in (describe, fill, invoke, log, pause, receive, set_variables)}

if __name__ == "__main__":
    json.dump(COMMANDS[sys.argv[1]](*sys.argv[2:]), sys.stdout)
