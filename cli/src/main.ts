import { Command, CommanderError, Option } from 'commander';
import { FILBERT_VERSION } from '@filbert/contracts';
import { describeConfig, parseArgsOptions, type FlagValues } from '@filbert/kit';
import { configCheck, configPrint } from './commands/config.ts';
import { connect, peers, status } from './commands/inspect.ts';
import { up } from './commands/up.ts';
import { CommandError, ExitCode } from './exit-codes.ts';
import { nodeConfig } from './node-config.ts';

const program = new Command('filbert')
  .description('A Gnutella 0.6 ultrapeer built out of services.')
  .version(FILBERT_VERSION)
  .showSuggestionAfterError()
  .exitOverride();

withNodeOptions(program.command('up').description('Run a node until it is told to stop.')).action(
  async (flags: object) => {
    process.exitCode = await up(dashed(flags));
  },
);
withControlOptions(program.command('status').description('What the node is and does.')).action((flags: object) =>
  status(dashed(flags)),
);
withControlOptions(program.command('peers').description('The links of the node, one a line.')).action((flags: object) =>
  peers(dashed(flags)),
);
withControlOptions(
  program.command('connect').description('Dial a peer.').argument('<address>', 'IP:PORT of an ultrapeer'),
).action((address: string, flags: object) => connect(address, dashed(flags)));

const config = program.command('config').description('The settings of a node.');
withNodeOptions(
  config
    .command('print')
    .description('Every setting, its value and where it comes from.')
    .option('--json', 'one JSON object a line'),
).action((flags: object) => configPrint(dashed(flags)));
withNodeOptions(
  config.command('check').description('Whether a node would start with these settings.').option('--json', 'print JSON'),
).action((flags: object) => configCheck(dashed(flags)));

/** Adds a flag for every setting of a node; values are checked where all settings are. */
function withNodeOptions(command: Command): Command {
  const kinds = parseArgsOptions(nodeConfig);
  for (const row of describeConfig(nodeConfig)) {
    const name = row.flag.slice(2);
    const kind = kinds[name];
    const unit = row.unit === '' ? '' : ` (${row.unit})`;
    const fallback = row.default === '' ? '' : ` [default: ${row.default}]`;
    const text = `${row.description}${unit}${fallback}`;
    if (kind?.type === 'boolean') {
      command.addOption(new Option(row.flag, text));
      command.addOption(new Option(`--no-${name}`).hideHelp());
    } else if (kind?.multiple === true) {
      command.addOption(
        new Option(`${row.flag} <value>`, `${text} (may be repeated)`).argParser((value: string, before?: string[]) => [
          ...(before ?? []),
          value,
        ]),
      );
    } else {
      command.addOption(new Option(`${row.flag} <value>`, text));
    }
  }
  return command;
}

function withControlOptions(command: Command): Command {
  return command
    .option('--data <folder>', 'data folder of the node [default: ./data]')
    .option('--control <address>', 'control address of the node, HOST:PORT')
    .option('--json', 'print JSON');
}

/** Commander's camelCase names as the flags they came from; a negatable flag that was not given is not set. */
function dashed(flags: object): FlagValues {
  const entries = Object.entries(flags as Record<string, string | boolean | string[] | undefined>);
  return Object.fromEntries(
    entries.map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value]),
  );
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its sentence; --help and --version end here too, with 0.
    process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  } else if (error instanceof CommandError) {
    for (const line of error.message.split('\n')) console.error(`filbert: ${line}`);
    process.exitCode = error.exitCode;
  } else {
    console.error(`filbert: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = ExitCode.failed;
  }
}
