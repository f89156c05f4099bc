// The one-way streets of docs/architecture.md, "The house".
const SERVICES = '^services/([^/]+)/';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'services-never-import-each-other',
      comment: 'Services talk over the bus and gRPC; only cli puts them together.',
      severity: 'error',
      from: { path: SERVICES },
      to: { path: SERVICES, pathNot: '^services/$1/' },
    },
    {
      name: 'services-import-packages-only',
      severity: 'error',
      from: { path: '^services/' },
      to: { path: '^(cli|test|bench|scripts)/' },
    },
    {
      name: 'gnutella-is-sans-io',
      comment: 'The protocol takes bytes and gives values: of Node it uses zlib and crypto, of npm pako alone.',
      severity: 'error',
      from: { path: '^packages/gnutella/' },
      to: { pathNot: '^packages/gnutella/|^(node:)?(zlib|crypto)$|^node_modules/pako/' },
    },
    {
      name: 'pako-inflates-patches-only',
      comment: "Everything else has Node's zlib, which is faster; see docs/architecture.md, Deviations.",
      severity: 'error',
      from: { pathNot: '^packages/gnutella/src/qrp/patch-inflater\\.ts$' },
      to: { path: '^node_modules/pako/' },
    },
    {
      name: 'kit-knows-nothing-of-gnutella',
      severity: 'error',
      from: { path: '^packages/kit/' },
      to: { path: '^(packages/(gnutella|contracts)|services|cli|test|bench)/' },
    },
    {
      name: 'contracts-below-services',
      severity: 'error',
      from: { path: '^packages/contracts/' },
      to: { path: '^(services|cli|test|bench)/' },
    },
    {
      name: 'product-never-imports-tests',
      severity: 'error',
      from: { path: '^(packages|services|cli)/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^packages/contracts/src/gen/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
};
