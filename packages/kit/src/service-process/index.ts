export {
  adminOption,
  controlOption,
  controlTokenOption,
  logLevelOption,
  processConfig,
  type ProcessConfig,
  tracingOptions,
} from './process-config.ts';
export {
  type CreatedService,
  EXIT_CONFIG,
  runServiceProcess,
  type ServiceDependencies,
  type ServiceProcessOptions,
  type ServiceReport,
} from './service-process.ts';
