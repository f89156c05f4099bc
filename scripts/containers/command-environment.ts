import { CONTROL_PORT, SERVICE_NAMES, type Environment } from './service-environment.ts';

/** A file with the token for control calls. Only read by what the image runs: to Filbert itself it is no setting. */
export const TOKEN_FILE = 'FILBERT_CONTROL_TOKEN_FILE';

/**
 * The variables that the command line needs in a container, beside those of the service there: compose and Kubernetes give
 * each service a name, and the token lies in a variable or a file.
 * @param readToken - reads the token's file @throws whatever that throws
 */
export function commandEnvironment(given: Environment, readToken: (file: string) => string): Record<string, string> {
  const variables: Record<string, string> = {};
  const file = given[TOKEN_FILE] ?? '';
  if ((given['FILBERT_CONTROL_TOKEN'] ?? '') === '' && file !== '')
    variables['FILBERT_CONTROL_TOKEN'] = readToken(file);
  if ((given['FILBERT_CONTROL'] ?? '') === '') {
    variables['FILBERT_CONTROL'] = SERVICE_NAMES.map((name) => `${name}=${name}:${CONTROL_PORT}`).join(',');
  }
  return variables;
}
