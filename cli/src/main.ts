import { Command, CommanderError, Option } from 'commander';
import { FILBERT_VERSION } from '@filbert/contracts';
import { describeConfig, parseArgsOptions, type FlagValues } from '@filbert/kit';
import { configCheck, configPrint } from './commands/config.ts';
import { download } from './commands/download.ts';
import { changeDownload, downloads } from './commands/downloads.ts';
import { hosts } from './commands/hosts.ts';
import { connect, peers, status } from './commands/inspect.ts';
import { search } from './commands/search.ts';
import { shareAdd, shareList, shareRemove, shareRescan } from './commands/share.ts';
import { up } from './commands/up.ts';
import { uploads } from './commands/uploads.ts';
import { CommandError, ExitCode } from './exit-codes.ts';
import { nodeConfig } from './node-config.ts';
import { watchOutput } from './output.ts';

const program = new Command('filbert')
  .description('A Gnutella 0.6 ultrapeer built out of services.')
  .version(FILBERT_VERSION)
  .showSuggestionAfterError()
  .exitOverride();

withNodeOptions(
  program
    .command('up')
    .description('Run a node until it is told to stop.')
    .option('--json', 'print what it says as JSON objects, one a line'),
).action(async (flags: object) => {
  process.exitCode = await up(dashed(flags));
});
withControlOptions(program.command('status').description('What the node is and does.')).action((flags: object) =>
  status(dashed(flags)),
);
withControlOptions(program.command('peers').description('The links of the node, one a line.')).action((flags: object) =>
  peers(dashed(flags)),
);
withControlOptions(
  program
    .command('connect')
    .description('Dial a peer, and tell whether it became a link.')
    .argument('<address>', 'IP:PORT of an ultrapeer')
    .option('--no-wait', 'only begin to dial'),
).action((address: string, flags: object) => connect(address, dashed(flags)));
withControlOptions(program.command('hosts').description('The hosts that the node knows.')).action((flags: object) =>
  hosts(dashed(flags)),
);
withControlOptions(
  program
    .command('search')
    .description('Search the network; prints sources as they come, until there are enough or the time is up.')
    .argument('<words...>', 'words, urn:sha1:…, or a magnet link')
    .option('--timeout <duration>', 'longest time to search [default: 30s]')
    .option('--enough <sources>', 'end with so many sources [default: 100]'),
).action((words: string[], flags: object) => search(words, dashed(flags)));
withControlOptions(
  program
    .command('download')
    .description('Fetch a file. Ctrl-C ends only the watching: the node goes on.')
    .argument('<target>', 'magnet link, urn:sha1:…, or the SHA-1 in base32 or hex')
    .option('--out <file>', 'also copy the finished file there')
    .option('--force', 'with --out: replace the file that is there')
    .option('--no-wait', 'only start it'),
).action((target: string, flags: object) => download(target, dashed(flags)));

const downloadsCommand = withControlOptions(
  program.command('downloads').description('The downloads of the node.').option('--watch', 'show changes until Ctrl-C'),
).action((flags: object) => downloads(dashed(flags)));
const changes = {
  pause: 'Pause a download.',
  resume: 'Go on with it.',
  cancel: 'End it and remove what was fetched; one that is finished is only forgotten.',
};
for (const change of ['pause', 'resume', 'cancel'] as const) {
  withControlOptions(
    downloadsCommand.command(change).description(changes[change]).argument('<id>', 'as "filbert downloads" shows it'),
  ).action((id: string, _flags: object, command: Command) =>
    // The flags are those of `downloads` too, and may stand on either side of the subcommand's name.
    changeDownload(change, id, dashed(command.optsWithGlobals())),
  );
}
withControlOptions(program.command('uploads').description('What the node sends now.')).action((flags: object) =>
  uploads(dashed(flags)),
);

const share = program.command('share').description('The folders that the node shares.');
withControlOptions(
  share
    .command('add')
    .description('Share one more folder, for good.')
    .argument('<folder>', 'a folder on this machine')
    .option('--force', 'also where it is a home folder or the whole machine'),
).action((folder: string, flags: object) => shareAdd(folder, dashed(flags)));
withControlOptions(
  share
    .command('remove')
    .description('Share a folder no longer that "share add" shared.')
    .argument('<folder>', 'as "filbert share list" shows it'),
).action((folder: string, flags: object) => shareRemove(folder, dashed(flags)));
withControlOptions(share.command('list').description('The folders, and what is served of each.')).action(
  (flags: object) => shareList(dashed(flags)),
);
withControlOptions(
  share.command('rescan').description('Look through the folders now; Ctrl-C ends only the watching.'),
).action((flags: object) => shareRescan(dashed(flags)));

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
    .option('--control <address>', 'control address of the node, HOST:PORT, or of each service, SERVICE=HOST:PORT,…')
    .option('--json', 'print JSON');
}

/** Commander's camelCase names as the flags they came from; a negatable flag that was not given is not set. */
function dashed(flags: object): FlagValues {
  const entries = Object.entries(flags as Record<string, string | boolean | string[] | undefined>);
  return Object.fromEntries(
    entries.map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value]),
  );
}

watchOutput();
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
