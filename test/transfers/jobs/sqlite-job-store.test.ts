import { join } from 'node:path';
import { openSqliteJobStore } from '../../../services/transfers/src/jobs/sqlite-job-store.ts';
import { cleanUp, temporaryFolder } from '../worker.ts';
import { jobStoreContract } from './contract.ts';

let file = '';
before(() => {
  file = join(temporaryFolder(), 'transfers.sqlite');
});
after(cleanUp);

jobStoreContract('SQLite', (worker) => Promise.resolve(openSqliteJobStore(file, worker)));
