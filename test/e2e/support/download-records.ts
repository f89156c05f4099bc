import { readFileSync } from 'node:fs';
import { connectNatsKeyValue, type KeyValueStore, type KvBucket } from '@filbert/kit';
import { JOBS_BUCKET_BYTES, MAX_RECORD_BYTES } from '../../../services/transfers/src/jobs/job-records.ts';
import { decodeJob, type OwnedJob } from '../../../services/transfers/src/jobs/stored-download.ts';
import type { NodeProcess } from '../../support/node-process.ts';

/** What a node of several processes has on record of its downloads, as its own nats-server keeps it. */
export class DownloadRecords {
  readonly #store: KeyValueStore;
  readonly #bucket: KvBucket;

  private constructor(store: KeyValueStore, bucket: KvBucket) {
    this.#store = store;
    this.#bucket = bucket;
  }

  static async open(node: NodeProcess): Promise<DownloadRecords> {
    const [server] = node.childrenLike('nats-server');
    const args = readFileSync(`/proc/${server?.pid ?? 0}/cmdline`, 'utf8').split('\0');
    const store = await connectNatsKeyValue({
      servers: `nats://127.0.0.1:${args[args.indexOf('-p') + 1]}`,
      name: 'test',
    });
    const limits = { maxValueBytes: MAX_RECORD_BYTES, maxBytes: JOBS_BUCKET_BYTES };
    return new DownloadRecords(store, await store.openBucket({ name: 'filbert-downloads', ...limits }));
  }

  async jobs(): Promise<OwnedJob[]> {
    return (await this.#bucket.list()).flatMap(({ value }) => decodeJob(value) ?? []);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
