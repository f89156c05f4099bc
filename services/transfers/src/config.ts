import { allowPrivateOption, busName, dataOption, shareOption, transfersListenOption } from '@filbert/contracts';
import { byteSize, defineConfig, filePath, hostPort, integer, oneOf, option, type ConfigOf } from '@filbert/kit';

const MAX_RATE = 100 * 2 ** 30;

/** Settings of the transfers service. */
export const transfersConfig = defineConfig({
  data: dataOption,
  share: shareOption,
  allowPrivate: allowPrivateOption,
  transfersListen: transfersListenOption,
  internalListen: option({
    flag: 'transfers-internal-listen',
    env: 'FILBERT_TRANSFERS_INTERNAL_LISTEN',
    schema: hostPort(),
    description: 'Where connections processes hand HTTP and GIV connections over; never open to peers.',
  }),
  workerId: option({
    flag: 'transfers-id',
    env: 'FILBERT_TRANSFERS_ID',
    schema: busName(),
    default: 'transfers-0',
    description: 'Name of this transfers process on the bus and of its downloads.',
  }),
  downloads: option({
    flag: 'downloads',
    env: 'FILBERT_DOWNLOADS',
    schema: filePath(),
    description: 'Folder for fetched files; by default the folder downloads in the data folder.',
  }),
  jobStore: option({
    flag: 'job-store',
    env: 'FILBERT_JOB_STORE',
    schema: oneOf(['jetstream', 'sqlite']),
    description:
      'Where downloads are noted: `jetstream`, so that another worker goes on with those of one that is gone, or `sqlite`, a file in the data folder. By default jetstream over NATS, sqlite in one process.',
  }),
  uploadSlots: option({
    flag: 'upload-slots',
    env: 'FILBERT_UPLOAD_SLOTS',
    schema: integer({ min: 0, max: 10_000 }),
    default: 20,
    unit: 'uploads',
    description: 'Uploads at one time; further ones queue.',
  }),
  uploadsPerHost: option({
    flag: 'uploads-per-host',
    env: 'FILBERT_UPLOADS_PER_HOST',
    schema: integer({ min: 1, max: 1_000 }),
    default: 3,
    unit: 'uploads',
    description: 'Uploads of one address, running and queued.',
  }),
  uploadRate: option({
    flag: 'upload-rate',
    env: 'FILBERT_UPLOAD_RATE',
    schema: byteSize({ min: 0, max: MAX_RATE }),
    default: 0,
    unit: 'bytes/s',
    description: 'Bandwidth of all uploads together; 0 is unlimited.',
  }),
  downloadRate: option({
    flag: 'download-rate',
    env: 'FILBERT_DOWNLOAD_RATE',
    schema: byteSize({ min: 0, max: MAX_RATE }),
    default: 0,
    unit: 'bytes/s',
    description: 'Bandwidth of all downloads together; 0 is unlimited.',
  }),
});

export type TransfersConfig = ConfigOf<typeof transfersConfig>;
