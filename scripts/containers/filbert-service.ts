// What the image runs: `filbert-service.ts NAME` fills in what a service in a container needs and then is that service.
import { hostname } from 'node:os';
import { claimName, type ClaimedName } from './claim-name.ts';
import { TOKEN_FILE } from './command-environment.ts';
import { readControlToken } from './control-token.ts';
import { SERVICE_NAMES, serviceEnvironment } from './service-environment.ts';

/** Exit code of a command line that cannot be understood (EX_USAGE). */
const EXIT_USAGE = 64;
const DATA = '/data';

const { env } = process;
const service = process.argv[2] ?? '';
const tokenFile = env[TOKEN_FILE];
Reflect.deleteProperty(env, TOKEN_FILE);

let claimed: ClaimedName | undefined;
const variables = SERVICE_NAMES.includes(service)
  ? serviceEnvironment(service, env, {
      hostname: hostname(),
      // One service makes the token, the others start after it.
      controlToken:
        tokenFile === undefined ? undefined : readControlToken(tokenFile, { create: service === 'bootstrap' }),
      claimName: (prefix) => (claimed ??= claimName(env['FILBERT_DATA'] ?? DATA, prefix)).name,
    })
  : undefined;
if (variables === undefined) {
  process.stderr.write(`filbert-service: "${service}" is none of ${SERVICE_NAMES.join(', ')}\n`);
  process.exitCode = EXIT_USAGE;
} else {
  Object.assign(env, variables);
  // The name stays claimed as long as something refers to it.
  process.once('exit', () => claimed?.release());
  await import(`../../services/${service}/src/main.ts`);
}
