import assert from 'node:assert/strict';
import { ServiceProcesses } from '../../cli/src/control/service-processes.ts';
import { waitFor } from '../support/wait-for.ts';

describe('cli: processes of a service with one name', () => {
  const opened: ServiceProcesses[] = [];
  let hosts: readonly string[] | undefined;
  let looks = 0;

  afterEach(() => {
    for (const service of opened.splice(0)) service.close();
  });

  async function open(): Promise<ServiceProcesses> {
    const service = new ServiceProcesses({
      kind: 'transfers',
      address: { host: 'transfers', port: 9347 },
      token: undefined,
      intervalMs: 5,
      lookUp: (host) => {
        assert.equal(host, 'transfers');
        looks++;
        return hosts === undefined ? Promise.reject(new Error('no name server')) : Promise.resolve(hosts);
      },
    });
    opened.push(service);
    await service.start();
    return service;
  }

  const names = ({ processes }: ServiceProcesses): string[] => processes.map(({ name }) => name);
  const nextLook = async (): Promise<void> => {
    const before = looks;
    await waitFor('two more looks', () => looks > before + 1);
  };

  it('are those that its name has addresses of, each with a connection of its own', async () => {
    hosts = ['10.0.0.2', '10.0.0.3', '10.0.0.2', 'fd00::4'];
    const service = await open();
    assert.deepEqual(names(service), [
      'transfers at 10.0.0.2:9347',
      'transfers at 10.0.0.3:9347',
      'transfers at [fd00::4]:9347',
    ]);
    assert.equal(new Set(service.processes.map(({ client }) => client)).size, 3);
    assert.equal(service.first.name, 'transfers at 10.0.0.2:9347');
  });

  it('come and go in the list that calls look at', async () => {
    hosts = ['10.0.0.2', '10.0.0.3'];
    const service = await open();
    const { processes } = service;
    const [, kept] = processes;
    hosts = ['10.0.0.3', '10.0.0.4'];
    await waitFor('the new one', () => names(service).includes('transfers at 10.0.0.4:9347'));
    assert.deepEqual(names(service), ['transfers at 10.0.0.3:9347', 'transfers at 10.0.0.4:9347']);
    assert.equal(processes[0]?.client, kept?.client);
    assert.equal(service.first.client, kept?.client);
  });

  it('stay while names cannot be looked up', async () => {
    hosts = ['10.0.0.2'];
    const service = await open();
    hosts = undefined;
    await nextLook();
    hosts = [];
    await nextLook();
    assert.deepEqual(names(service), ['transfers at 10.0.0.2:9347']);
  });

  it('are one that takes no calls as long as the name has no address', async () => {
    hosts = undefined;
    const service = await open();
    assert.deepEqual(service.processes, [{ name: 'transfers at transfers:9347', client: undefined }]);
    hosts = ['10.0.0.2'];
    await waitFor('the first', () => service.first.client !== undefined);
  });
});
