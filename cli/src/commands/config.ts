import { describeConfig, loadConfig, type FlagValues } from '@filbert/kit';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { nodeConfig } from '../node-config.ts';
import { readNodeConfig } from './up.ts';
import { settingsWarnings } from '../up/plan.ts';
import { table } from './show.ts';

/** `filbert config print`: every setting, its value and where it comes from. */
export function configPrint(flags: FlagValues): void {
  const { json, ...settings } = flags;
  const sources = { env: process.env, flags: settings };
  const loaded = loadConfig(nodeConfig, sources);
  const rows = describeConfig(nodeConfig, sources);
  if (json === true) {
    for (const row of rows) console.log(JSON.stringify(row));
  } else {
    console.log(
      table(
        ['SETTING', 'VALUE', 'FROM', 'VARIABLE', 'MEANING'],
        rows.map((row) => [row.flag, row.value, row.source, row.env, row.description]),
      ),
    );
  }
  if (!loaded.ok) throw new CommandError(ExitCode.config, loaded.problems.join('\n'));
}

/** `filbert config check`: whether a node would start with these settings. */
export function configCheck(flags: FlagValues): void {
  const { json, ...settings } = flags;
  let warnings: string[];
  try {
    warnings = settingsWarnings(readNodeConfig(settings));
  } catch (error) {
    if (json === true && error instanceof CommandError) {
      console.log(JSON.stringify({ ok: false, problems: error.message.split('\n') }));
    }
    throw error;
  }
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  console.log(json === true ? JSON.stringify({ ok: true, problems: [], warnings }) : 'the settings can be used');
}
