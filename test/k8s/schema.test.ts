import assert from 'node:assert/strict';
import { KUSTOMIZATIONS, rendered, type Manifest } from './support/manifests.ts';
import { MODELS, schemaProblems, unknownFieldProblems } from './support/schemas.ts';

describe('k8s: schemas', function () {
  this.timeout(60_000);
  let all: readonly Manifest[] = [];

  before(() => {
    all = KUSTOMIZATIONS.flatMap((folder) => rendered(folder));
  });

  it('every kind that is rendered has a schema to be checked against', () => {
    assert.ok(all.length > 40, `only ${all.length} objects`);
    const unknown = all.filter(({ apiVersion, kind }) => !MODELS.has(`${apiVersion}/${kind}`));
    assert.deepEqual(
      unknown.map(({ kind }) => kind),
      [],
    );
  });

  it('every object has what it must have, of the right types', () => {
    assert.deepEqual(all.flatMap(schemaProblems), []);
  });

  it('no object has a field that does not exist', () => {
    assert.deepEqual(unknownFieldProblems(all), []);
  });

  it('the checks see a missing field, a wrong type and an unknown field', () => {
    const [set] = rendered('k8s/base').filter(({ kind }) => kind === 'StatefulSet');
    const broken = (change: (spec: Record<string, unknown>) => void): Manifest => {
      const copy = structuredClone(set ?? assert.fail());
      change(copy['spec'] as Record<string, unknown>);
      return copy;
    };
    const problems = [
      ...schemaProblems(broken((spec) => delete spec['selector'])),
      ...schemaProblems(broken((spec) => (spec['replicas'] = 'one'))),
      ...unknownFieldProblems([broken((spec) => (spec['replica'] = 1))]),
    ].join('\n');
    for (const word of [/selector/, /replicas/, /'"replica"' does not exist/]) assert.match(problems, word);
  });

  it('no two objects of one rendering have the same kind and name', () => {
    for (const folder of KUSTOMIZATIONS) {
      const names = rendered(folder).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      assert.deepEqual(names, [...new Set(names)]);
    }
  });
});
