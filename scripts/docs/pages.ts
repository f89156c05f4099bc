import { fileURLToPath } from 'node:url';
import { configPage } from './config-page.ts';
import { dashboard } from './dashboard.ts';
import { formatted } from './markdown.ts';
import { metricsPage } from './metrics-page.ts';

/** A page of docs/, or the dashboard, that is made from the sources. */
export interface GeneratedPage {
  /** Relative to the repository's root. */
  readonly path: string;
  readonly text: () => Promise<string>;
}

const root = new URL('../../', import.meta.url);

function page(path: string, make: () => string | Promise<string>): GeneratedPage {
  return { path, text: async () => formatted(await make(), fileURLToPath(new URL(path, root))) };
}

/** All generated pages. */
export const GENERATED_PAGES: readonly GeneratedPage[] = [
  page('docs/config.md', configPage),
  page('docs/metrics.md', metricsPage),
  page('k8s/monitoring/filbert-dashboard.json', dashboard),
];
