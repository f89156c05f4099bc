import { bootstrapConfig } from '@filbert/bootstrap';
import { connectionsConfig } from '@filbert/connections';
import { describeConfig, processConfig, type ConfigDefinition, type ConfigRow } from '@filbert/kit';
import { routerConfig } from '@filbert/router';
import { searchIndexConfig } from '@filbert/search-index';
import { transfersConfig } from '@filbert/transfers';
import { nodeConfig } from '../../cli/src/node-config.ts';
import { code, markdownTable } from './markdown.ts';

const INTRODUCTION = `# Settings

Generated from the sources by \`npm run docs\`; do not edit.

A setting is given as a flag or as an environment variable. Flags win over the environment, which wins over the default.
An unknown flag ends the command with exit code 64, an unknown \`FILBERT_\` variable or a bad value with 78; all problems
of variables and values are told at once. \`filbert config print\` shows every setting of a node, its value and where it
comes from; \`filbert config check\` says whether a node would start with them. Lists are repeated flags or
comma-separated values. A switch is turned off with \`--no-<flag>\` or \`false\`.

## filbert up
`;

const PROCESSES = `
## Single service processes

What a service reads when it runs as a process of its own (\`node services/<service>/src/main.ts\`): only from the
environment, and only what stands here for it. \`filbert up --processes\` sets these itself.
`;

const SERVICES: readonly (readonly [string, ConfigDefinition<never>])[] = [
  ['Every process', processConfig],
  ['connections', connectionsConfig],
  ['router', routerConfig],
  ['bootstrap', bootstrapConfig],
  ['search-index', searchIndexConfig],
  ['transfers', transfersConfig],
];

/** docs/config.md, unformatted. */
export function configPage(): string {
  const parts = [INTRODUCTION, optionTable(describeConfig(nodeConfig), true), PROCESSES];
  for (const [name, definition] of SERVICES)
    parts.push(`### ${name}\n`, optionTable(describeConfig(definition), false));
  return `${parts.join('\n')}\n`;
}

function optionTable(rows: readonly ConfigRow[], flags: boolean): string {
  const head = ['Variable', 'Default', 'Allowed', 'Unit', 'Meaning'];
  return markdownTable(
    flags ? ['Flag', ...head] : head,
    rows.map((row) => {
      const fallback = row.required ? 'required' : row.default === '' ? 'none' : code(row.default);
      const cells = [code(row.env), fallback, row.bounds, row.unit, row.description];
      return flags ? [code(row.flag), ...cells] : cells;
    }),
  );
}
