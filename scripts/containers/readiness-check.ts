// Exits with 0 when the service in this container says on /readyz that it serves: the image has no curl.
const port = /:(\d+)$/.exec(process.env['FILBERT_ADMIN'] ?? '')?.[1] ?? '9346';
const TIMEOUT_MS = 3_000;

const ready = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(
  ({ ok }) => ok,
  () => false,
);
process.exitCode = ready ? 0 : 1;
