import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Where scripts/ensure-kubernetes-tools.sh puts what was missing. */
const TOOLS = `${ROOT}node_modules/.cache/filbert-tools/`;
const RENDER_TIMEOUT_MS = 30_000;

/** What is rendered and checked. */
export const KUSTOMIZATIONS = ['k8s/base', 'k8s/overlays/single-node', 'k8s/monitoring'] as const;

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()).optional() }),
});

/** An object as the API server would get it. */
export type Manifest = z.infer<typeof objectSchema>;

/** Runs kubectl or promtool; what is on the PATH wins. @throws Error with what the tool said */
export function runTool(name: 'kubectl' | 'promtool', args: readonly string[]): string {
  const found = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(`${folder}/${name}`));
  const path = found ? name : `${TOOLS}${name}`;
  return execFileSync(path, args, { cwd: ROOT, encoding: 'utf8', timeout: RENDER_TIMEOUT_MS, stdio: 'pipe' });
}

/** The objects of a folder, rendered by kustomize. */
export function rendered(folder: (typeof KUSTOMIZATIONS)[number]): readonly Manifest[] {
  const documents = parseAllDocuments(runTool('kubectl', ['kustomize', folder]));
  return documents.map((document) => objectSchema.parse(document.toJS()));
}

const nameValue = z.looseObject({ name: z.string(), value: z.string().optional() });
const probe = z.looseObject({ httpGet: z.looseObject({ path: z.string(), port: z.union([z.string(), z.number()]) }) });
const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()).default([]),
  env: z.array(nameValue).default([]),
  envFrom: z.array(z.looseObject({ configMapRef: z.looseObject({ name: z.string() }) })).default([]),
  ports: z.array(
    z.looseObject({
      name: z.string(),
      containerPort: z.number(),
      hostPort: z.number().optional(),
      protocol: z.string(),
    }),
  ),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  resources: z.looseObject({
    requests: z.looseObject({ cpu: z.string(), memory: z.string() }),
    limits: z.looseObject({ memory: z.string() }),
  }),
  securityContext: z.looseObject({
    allowPrivilegeEscalation: z.boolean(),
    readOnlyRootFilesystem: z.boolean(),
    capabilities: z.looseObject({ drop: z.array(z.string()), add: z.array(z.string()).optional() }),
  }),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
});
const workload = z.looseObject({
  kind: z.literal('StatefulSet'),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    serviceName: z.string(),
    replicas: z.number(),
    selector: z.looseObject({ matchLabels: z.record(z.string(), z.string()) }),
    template: z.looseObject({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        automountServiceAccountToken: z.boolean(),
        enableServiceLinks: z.boolean(),
        terminationGracePeriodSeconds: z.number(),
        hostNetwork: z.boolean().optional(),
        securityContext: z.looseObject({
          runAsNonRoot: z.boolean(),
          runAsUser: z.number(),
          seccompProfile: z.looseObject({ type: z.string() }),
        }),
        containers: z.tuple([container]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
    volumeClaimTemplates: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })).default([]),
  }),
});

/** A StatefulSet with one container, as the tests look at it. */
export type Workload = z.infer<typeof workload>;

/** The StatefulSets among the objects. */
export function workloads(objects: readonly Manifest[]): readonly Workload[] {
  return objects.filter(({ kind }) => kind === 'StatefulSet').map((object) => workload.parse(object));
}

const configMap = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  data: z.record(z.string(), z.string()),
});

/** What a workload's container is given in its environment: its own variables and those of its maps; '' where from elsewhere. */
export function environmentOf(subject: Workload, objects: readonly Manifest[]): Record<string, string> {
  const maps = objects.filter(({ kind }) => kind === 'ConfigMap').map((object) => configMap.parse(object));
  const [{ env, envFrom }] = subject.spec.template.spec.containers;
  const result: Record<string, string> = {};
  for (const { configMapRef } of envFrom) {
    const map = maps.find(({ metadata }) => metadata.name === configMapRef.name);
    if (map === undefined) throw new Error(`${subject.metadata.name} names the missing map ${configMapRef.name}`);
    Object.assign(result, map.data);
  }
  for (const { name, value } of env) result[name] = value ?? '';
  return result;
}

const composeSchema = z.looseObject({
  services: z.record(
    z.string(),
    z.looseObject({
      image: z.string(),
      command: z.array(z.string()),
      environment: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
      ports: z.array(z.string()).default([]),
      volumes: z.array(z.string()).default([]),
      read_only: z.boolean(),
      cap_drop: z.array(z.string()),
      security_opt: z.array(z.string()),
      restart: z.string(),
      stop_grace_period: z.string().optional(),
    }),
  ),
  volumes: z.record(z.string(), z.unknown()),
});

/** docker-compose.yml with its anchors merged and its variables not filled in. */
export function compose(): z.infer<typeof composeSchema> {
  return composeSchema.parse(parse(readFileSync(`${ROOT}docker-compose.yml`, 'utf8'), { merge: true }));
}
