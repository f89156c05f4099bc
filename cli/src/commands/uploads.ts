import { transfersV1 } from '@filbert/contracts';
import { callUnary, type FlagValues } from '@filbert/kit';
import { CALL_TIMEOUT_MS, withNode } from '../control/control-client.ts';
import { bytes, duration, plural, printable, printJson, rate, table } from './show.ts';

/** `filbert uploads`: what is sent now, and how many slots and waiting peers there are. */
export async function uploads(flags: FlagValues): Promise<void> {
  const list = await withNode(flags, (client) =>
    callUnary(client, transfersV1.TransfersServiceService.listUploads, {}, { timeoutMs: CALL_TIMEOUT_MS }),
  );
  if (flags['json'] === true) {
    for (const upload of list.uploads) printJson(upload);
    return;
  }
  if (list.uploads.length > 0) {
    const head = ['ADDRESS', 'SENT', 'OF', 'RATE', 'AGE', 'WAY', 'NAME', 'AGENT'];
    console.log(table(head, list.uploads.map(cells)));
  }
  const busy = `${list.slots - list.freeSlots} of ${plural(list.slots, 'slot')} in use`;
  console.log(`${plural(list.uploads.length, 'upload')}, ${busy}, ${list.queued} waiting`);
}

function cells(upload: transfersV1.Upload): string[] {
  const ageMs = Math.max(1, Date.now() - upload.startedAtMs);
  return [
    printable(upload.address),
    bytes(upload.sentBytes),
    bytes(upload.lastByte - upload.firstByte + 1),
    rate((upload.sentBytes / ageMs) * 1000),
    duration(ageMs),
    upload.pushed ? 'push' : 'direct',
    printable(upload.name),
    printable(upload.userAgent, 40),
  ];
}
