import { NodeProcess, stopAllNodes, type NodeOptions } from '../../support/node-process.ts';
import { Network } from './network.ts';

/** A way to run a node, as the end-to-end suite tries it. */
export interface Form {
  readonly name: string;
  readonly options: Pick<NodeOptions, 'processes' | 'connections' | 'routerShards'>;
  /** Connections processes: neighbours are put on different ones. */
  readonly edges: number;
  readonly shards: number;
}

/** Every form in which each scenario is played. */
export const FORMS: readonly Form[] = [
  { name: 'embedded', options: {}, edges: 1, shards: 1 },
  { name: 'processes', options: { processes: true, connections: 2, routerShards: 2 }, edges: 2, shards: 2 },
];

/** Nodes of several processes, two of them in some groups, may take this long to start on a busy machine. */
const START_TIMEOUT_MS = 75_000;

/** How a group of scenarios wants its node. */
export interface ScenarioOptions {
  /** Further flags: the group then gets a node of its own. Called once for each form, before that node starts. */
  args?: () => readonly string[] | Promise<readonly string[]>;
  /** The node has neighbours besides those of the scenarios: it is not waited for to have no links between them. */
  keepsLinks?: boolean;
}

/** Nodes that scenarios without wishes of their own share, by form. */
const shared = new Map<Form, { starting: Promise<NodeProcess> | undefined; users: number }>();

// Also when the hooks of a group were not reached.
after(stopAllNodes);

/** Defines scenarios once for every form. They share a node unless they ask for flags, and find it without links. */
export function describeOnBothForms(
  title: string,
  define: (net: Network) => void,
  { args, keepsLinks = false }: ScenarioOptions = {},
): void {
  for (const form of FORMS) {
    const use = shared.get(form) ?? { starting: undefined, users: 0 };
    shared.set(form, use);
    if (args === undefined) use.users++;
    describe(`e2e, ${form.name}: ${title}`, () => {
      const net = new Network(form, keepsLinks);

      before(async function () {
        this.timeout(START_TIMEOUT_MS);
        if (args === undefined) {
          use.starting ??= NodeProcess.start(form.options);
          await net.open(await use.starting);
        } else {
          await net.open(await NodeProcess.start({ ...form.options, args: await args() }));
        }
      });

      afterEach(() => net.reset());

      after(async () => {
        const node = net.close();
        if (args === undefined && --use.users > 0) return;
        await node?.stop();
      });

      define(net);
    });
  }
}
