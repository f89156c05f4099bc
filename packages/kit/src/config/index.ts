export { type ConfigDefinition, type ConfigOf, type ConfigValue, defineConfig, mergeConfigs } from './definition.ts';
export { type ConfigRow, describeConfig, HIDDEN } from './describe.ts';
export { configEnvironment } from './environment.ts';
export {
  type ConfigSources,
  type FlagValues,
  type LoadedConfig,
  loadConfig,
  parseArgsOptions,
  unknownVariables,
} from './load.ts';
export { ConfigError, ENV_PREFIX, type Option, option, type OptionSpec } from './option.ts';
export { editDistance, nearestName } from './suggest.ts';
export {
  byteSize,
  decimal,
  duration,
  filePath,
  formatDuration,
  formatHostPort,
  type HostPort,
  hostPort,
  integer,
  list,
  type NumberBounds,
  oneOf,
  parsedText,
  parseHostPort,
  plainText,
  toggle,
  urlText,
} from './values.ts';
