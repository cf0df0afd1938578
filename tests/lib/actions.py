#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A runner for the shell steps of GitHub actions and workflows, as far as the examples need it.

  actions.py action DIR OUTPUTS NAME=VALUE...     a composite action; its outputs go to OUTPUTS as JSON
  actions.py workflow FILE EVENT.json ROOT        every job, in the order of `needs`; local actions below ROOT

As the real one: steps run in bash -eo pipefail with only what `env:` gives them, expressions are put in before the
shell is asked, masked values are shown as ***. Stricter than the real one: an expression inside `run:` is an error,
since that is how the name of a branch becomes a command. `uses:` of other people's actions is skipped, and said."""
import json, os, re, subprocess, sys, tempfile
import yaml

masks = []

class Failed(Exception):
    pass

def evaluate(text, scope):
    """One expression: paths, 'text', numbers, == != && || ! ( ), success() always()."""
    tokens = re.findall(r"\s*('(?:[^']|'')*'|&&|\|\||==|!=|[()!]|[\w.\-]+(?:\(\))?)", text)
    if "".join(tokens).replace(" ", "") != text.replace(" ", ""):
        raise Failed(f"cannot read the expression {text!r}")
    out = []
    for t in tokens:
        if t in ("&&", "||", "!", "==", "!=", "(", ")"):
            out.append({"&&": "and", "||": "or", "!": "not"}.get(t, t))
        elif t.startswith("'"):
            out.append(repr(t[1:-1].replace("''", "'")))
        elif t in ("always()", "success()", "true"):
            out.append("True")
        elif re.fullmatch(r"\d+", t):
            out.append(t)
        else:
            value = scope
            for key in t.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            out.append(repr("" if value is None else value))
    return eval(" ".join(out), {"__builtins__": {}})

def fill(text, scope):
    def one(m):
        v = evaluate(m[1].strip(), scope)
        return {True: "true", False: "false"}.get(v, v) if isinstance(v, bool) else str(v)
    return re.sub(r"\$\{\{(.*?)\}\}", one, str(text), flags=re.S)

def wanted(step, scope):
    condition = str(step.get("if", "success()"))
    m = re.fullmatch(r"\s*\$\{\{(.*)\}\}\s*", condition, re.S)
    return bool(evaluate((m[1] if m else condition).strip(), scope))

def read_outputs(path):
    outputs, lines = {}, open(path, encoding="utf-8").read().split("\n")
    while lines:
        line = lines.pop(0)
        if re.match(r"[\w-]+<<", line):
            name, end = line.split("<<", 1)
            value = []
            while lines[0] != end:
                value.append(lines.pop(0))
            lines.pop(0)
            outputs[name] = "\n".join(value)
        elif "=" in line:
            name, value = line.split("=", 1)
            outputs[name] = value
        elif line:
            raise Failed(f"no output: {line!r}")
    return outputs

def show(text):
    for line in text.split("\n"):
        if line.startswith("::add-mask::"):
            masks.append(line[12:].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%"))
            continue
        for m in sorted(masks, key=len, reverse=True):
            line = line.replace(m, "***")
        print(line, flush=True)

def run_shell(step, scope, env, action_path=None):
    if "${{" in step["run"]:
        raise Failed(f"an expression inside run: {step['run'][:200]}")
    if step.get("shell", "bash") != "bash":
        raise Failed("only bash")
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script, tempfile.NamedTemporaryFile("r") as outputs, \
            tempfile.NamedTemporaryFile("r") as variables:
        script.write(step["run"])
        script.flush()
        own = dict(os.environ, **env, GITHUB_OUTPUT=outputs.name, GITHUB_ENV=variables.name, RUNNER_TEMP=scope["runner"]["temp"])
        own.update({k: fill(v, scope) for k, v in step.get("env", {}).items()})
        if action_path:
            own["GITHUB_ACTION_PATH"] = action_path
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script.name], env=own, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        show(done.stdout)
        env.update(read_outputs(variables.name))
        if done.returncode:
            raise Failed(f"a step ended with {done.returncode}")
        return read_outputs(outputs.name)

def run_steps(steps, scope, env, root, action_path=None):
    scope["steps"] = {}
    failed = None
    for step in steps:
        scope_ok = dict(scope, **{"failed": failed is not None})
        if failed and "always()" not in str(step.get("if", "")):
            continue
        if not wanted(step, scope_ok):
            continue
        try:
            if "run" in step:
                outputs = run_shell(step, scope, env, action_path)
            elif step["uses"].startswith("./"):
                given = {k: fill(v, scope) for k, v in step.get("with", {}).items()}
                outputs = run_action(os.path.join(root, step["uses"]), given, scope, env)
            else:
                print(f"# skipped: {step['uses']}")
                outputs = {}
            scope["steps"][step.get("id", "")] = {"outputs": outputs}
        except Failed as e:
            failed = e
    if failed:
        raise failed

def run_action(path, given, scope, env):
    action = yaml.safe_load(open(os.path.join(path, "action.yml"), encoding="utf-8"))
    inputs = {}
    for name, spec in action["inputs"].items():
        if spec.get("required") and not given.get(name):
            raise Failed(f"the input {name} is required")
        inputs[name] = given.pop(name, str(spec.get("default", "")))
    if given:
        raise Failed(f"unknown inputs {sorted(given)}")
    inner = {"inputs": inputs, "runner": scope["runner"], "github": scope["github"]}
    run_steps(action["runs"]["steps"], inner, dict(env), None, os.path.abspath(path))
    return {k: fill(v["value"], inner) for k, v in action.get("outputs", {}).items()}

def run_workflow(path, event, root, scope):
    text = yaml.safe_load(open(path, encoding="utf-8"))
    scope["github"].update({"event": event, "event_name": os.environ.get("EVENT_NAME", "pull_request"),
                            "head_ref": event.get("pull_request", {}).get("head", {}).get("ref", "")})
    done, jobs = {}, dict(text["jobs"])
    while jobs:
        name = next(n for n, j in jobs.items() if set([j["needs"]] if isinstance(j.get("needs"), str) else j.get("needs", [])) <= set(done))
        job = jobs.pop(name)
        inner = dict(scope, needs=done, vars=json.loads(os.environ.get("VARS", "{}")), secrets=json.loads(os.environ.get("SECRETS", "{}")))
        if not wanted(job, inner):
            print(f"# job {name}: not wanted")
            done[name] = {"outputs": {}}
            continue
        print(f"# job {name}")
        env = {k: fill(v, inner) for k, v in {**(text.get("env") or {}), **(job.get("env") or {})}.items()}
        inner["env"] = env
        run_steps(job["steps"], inner, env, root)
        done[name] = {"outputs": {k: fill(v, inner) for k, v in job.get("outputs", {}).items()}}

def main():
    scope = {"runner": {"temp": tempfile.mkdtemp(dir=os.environ.get("T"))},
             "github": {"repository": os.environ.get("GITHUB_REPOSITORY", ""), "token": os.environ.get("TOKEN", "")}}
    try:
        if sys.argv[1] == "action":
            outputs = run_action(sys.argv[2], dict(a.split("=", 1) for a in sys.argv[4:]), scope, {})
            json.dump(outputs, open(sys.argv[3], "w", encoding="utf-8"))
        else:
            run_workflow(sys.argv[2], json.load(open(sys.argv[3], encoding="utf-8")), sys.argv[4], scope)
    except Failed as e:
        print(f"failed: {e}")
        sys.exit(1)

main()
