import { StatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { PersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim';
import { Service } from 'kubernetes-models/v1/Service';
import ts from 'typescript';
import { ROOT, type Manifest } from './manifests.ts';

/** A kind of object: what validates it, and the module that declares its type. */
interface Model {
  /** @throws Error where the object has wrong types or lacks what is required */
  readonly validate: (object: Manifest) => void;
  readonly module: string;
}

/** By apiVersion and kind. The models take objects of their own types, which is what they are to find out. */
export const MODELS: ReadonlyMap<string, Model> = new Map<string, Model>([
  ['apps/v1/StatefulSet', { validate: by(StatefulSet), module: 'kubernetes-types/apps/v1.d.ts' }],
  [
    'networking.k8s.io/v1/NetworkPolicy',
    { validate: by(NetworkPolicy), module: 'kubernetes-types/networking/v1.d.ts' },
  ],
  ['policy/v1/PodDisruptionBudget', { validate: by(PodDisruptionBudget), module: 'kubernetes-types/policy/v1.d.ts' }],
  ['v1/ConfigMap', { validate: by(ConfigMap), module: 'kubernetes-types/core/v1.d.ts' }],
  ['v1/Namespace', { validate: by(Namespace), module: 'kubernetes-types/core/v1.d.ts' }],
  ['v1/PersistentVolumeClaim', { validate: by(PersistentVolumeClaim), module: 'kubernetes-types/core/v1.d.ts' }],
  ['v1/Service', { validate: by(Service), module: 'kubernetes-types/core/v1.d.ts' }],
]);

function by<T>(model: new (object: T) => { validate(): void }): (object: Manifest) => void {
  return (object) => new model(object as T).validate();
}

/** What is missing or of a wrong type in an object. */
export function schemaProblems(object: Manifest): readonly string[] {
  try {
    MODELS.get(`${object.apiVersion}/${object.kind}`)?.validate(object);
    return [];
  } catch (error) {
    return [`${object.kind} ${object.metadata.name}: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** Fields of the objects that their types do not have: found by the compiler, for the models let them pass. */
export function unknownFieldProblems(objects: readonly Manifest[]): readonly string[] {
  const lines = objects.map((object, index) => {
    const model = MODELS.get(`${object.apiVersion}/${object.kind}`);
    if (model === undefined) throw new Error(`no model for ${object.kind}`);
    return `export const o${index}: import('${model.module}').${object.kind} = ${JSON.stringify(object)};`;
  });
  const path = `${ROOT}test/k8s/support/rendered-objects.ts`;
  const options: ts.CompilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    lib: ['lib.es2024.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    allowImportingTsExtensions: true,
  };
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile.bind(host);
  const exists = host.fileExists.bind(host);
  // The file is only in memory.
  host.getSourceFile = (name, languageVersion) =>
    name === path ? ts.createSourceFile(name, lines.join('\n'), languageVersion) : read(name, languageVersion);
  host.fileExists = (name) => name === path || exists(name);
  return ts
    .getPreEmitDiagnostics(ts.createProgram([path], options, host))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
