import { MetricsError } from './errors.ts';

/** Most combinations of label values that one metric may have. */
export const MAX_LABEL_COMBINATIONS = 512;
/** Longest label value, in characters. */
export const MAX_LABEL_CHARS = 64;

/**
 * Label names that would hold one value per peer, query or file, or that are given by others (`process` is added when
 * processes are merged, `le` and `quantile` belong to histograms).
 */
const FORBIDDEN_LABELS = new Set(
  ['address', 'ip', 'host', 'peer', 'guid', 'servent', 'query', 'text', 'path', 'file', 'url', 'user_agent'].concat([
    'id',
    'process',
    'le',
    'quantile',
  ]),
);

/** A label whose values are names in other parts of the program: the first `max` of them are taken, later ones refused. */
export interface NamesUpTo {
  readonly max: number;
}

/** Declares a label whose values are known to be few and fixed, but not here. Never for anything a peer sends. */
export function namesUpTo(max: number): NamesUpTo {
  return { max };
}

/** Label names with the values each may have. */
export type LabelSpec = Readonly<Record<string, readonly string[] | NamesUpTo>>;

/** A value for each declared label. */
export type LabelValues<L extends LabelSpec> = {
  readonly [K in keyof L]: L[K] extends readonly (infer V)[] ? V : string;
};

/** The closed label set of one metric. */
export class LabelSet {
  readonly names: readonly string[];
  readonly #declared = new Map<string, readonly string[] | NamesUpTo>();
  readonly #seen = new Map<string, Set<string>>();

  /** @throws MetricsError `bad-label` for a forbidden or misnamed label, no values, or too many combinations */
  constructor(metric: string, spec: LabelSpec) {
    this.names = Object.keys(spec);
    let combinations = 1;
    for (const [name, values] of Object.entries(spec)) {
      const refuse = (why: string): never => {
        throw new MetricsError('bad-label', `label "${name}" of ${metric} ${why}`);
      };
      if (!/^[a-z][a-z0-9_]*$/.test(name)) refuse('is not snake_case');
      if (FORBIDDEN_LABELS.has(name)) refuse('is not allowed: it is reserved or would have too many values');
      const count = 'max' in values ? values.max : values.length;
      if (count < 1) refuse('has no values');
      if (!('max' in values)) for (const value of values) if (!isLabelValue(value)) refuse(`may not be "${value}"`);
      combinations *= count;
      this.#declared.set(name, values);
      this.#seen.set(name, new Set('max' in values ? [] : values));
    }
    if (combinations > MAX_LABEL_COMBINATIONS)
      throw new MetricsError(
        'bad-label',
        `${metric} has ${combinations} label combinations, over ${MAX_LABEL_COMBINATIONS}`,
      );
  }

  /** What is wrong with these label values; undefined where nothing is. */
  problem(labels: Readonly<Record<string, string>>): string | undefined {
    let given = 0;
    for (const name in labels) {
      if (!this.#declared.has(name)) return `label "${name}" is not declared`;
      given++;
    }
    if (given !== this.names.length) return `labels are ${this.names.join(', ')}`;
    for (const name of this.names)
      if (!this.#admits(name, labels[name])) return `label "${name}" has an undeclared value`;
    return undefined;
  }

  #admits(name: string, value: string | undefined): boolean {
    const seen = this.#seen.get(name);
    const declared = this.#declared.get(name);
    if (value === undefined || seen === undefined || declared === undefined) return false;
    if (seen.has(value)) return true;
    if (!('max' in declared) || seen.size >= declared.max || !isLabelValue(value)) return false;
    seen.add(value);
    return true;
  }
}

function isLabelValue(value: string): boolean {
  return value.length <= MAX_LABEL_CHARS && /^[a-z0-9][a-z0-9_.-]*$/i.test(value);
}
