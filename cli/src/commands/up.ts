import { loadConfig, type FlagValues } from '@filbert/kit';
import { runningNode } from '../control/control-file.ts';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { nodeConfig, type NodeConfig } from '../node-config.ts';
import { runEmbedded } from '../up/embedded.ts';
import { announcements, completeConfig, settingsProblems, settingsWarnings } from '../up/plan.ts';
import { print } from '../up/serving.ts';
import { runProcesses } from '../up/supervisor.ts';

/**
 * Reads the settings of a node.
 * @throws CommandError with all problems at once
 */
export function readNodeConfig(flags: FlagValues): NodeConfig {
  const loaded = loadConfig(nodeConfig, { env: process.env, flags });
  if (!loaded.ok) throw new CommandError(ExitCode.config, loaded.problems.join('\n'));
  const problems = settingsProblems(loaded.value);
  if (problems.length > 0) throw new CommandError(ExitCode.config, problems.join('\n'));
  return completeConfig(loaded.value);
}

/** `filbert up`: runs a node until it is told to stop. */
export async function up(flags: FlagValues): Promise<number> {
  const { json, ...settings } = flags;
  const config = readNodeConfig(settings);
  const other = await runningNode(config.bootstrap.data);
  if (other !== undefined) {
    throw new CommandError(
      ExitCode.failed,
      `a node runs on ${config.bootstrap.data} already (process ${other.pid}, Gnutella on ${other.gnutella}); choose another --data or stop it`,
    );
  }
  const form = json === true ? 'json' : 'text';
  for (const text of announcements(config)) print(form, { event: 'announcement', text }, text);
  for (const warning of settingsWarnings(config)) process.stderr.write(`warning: ${warning}\n`);
  return config.up.processes ? runProcesses(config, form) : runEmbedded(config, form);
}
