"""The adapter's side of the conversation with check.py: one JSON object a line, in and out.

in   {"call": NAME, "args": {...}}
out  {"ok": RESULT} or {"error": TEXT}

Bytes travel as latin-1 text, null as null. An adapter is an object with a method per call; what it does not have, the
client cannot do.
"""
import json
import sys
import traceback


def text(value):
    return None if value is None else bytes(value).decode("latin-1")


def raw(value):
    return None if value is None else value.encode("latin-1")


def serve(adapter):
    """Answer calls until the input ends."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what a client prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            method = getattr(adapter, request["call"], None)
            if method is None:
                answer = {"missing": request["call"]}
            else:
                answer = {"ok": method(**request["args"])}
        except Exception as error:  # whatever a client raises is its answer
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()
    getattr(adapter, "close", lambda: None)()
