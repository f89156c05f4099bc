import { CONNECTIONS } from './dashboard/connections.ts';
import { LIBRARY } from './dashboard/library.ts';
import { NODE } from './dashboard/node.ts';
import type { Panel, Row } from './dashboard/panel.ts';
import { PROCESSES } from './dashboard/processes.ts';
import { ROUTER } from './dashboard/router.ts';
import { TRANSFERS } from './dashboard/transfers.ts';

const PANEL_WIDTH = 8;
const PANEL_HEIGHT = 8;
const GRID_WIDTH = 24;

const ROWS: readonly Row[] = [NODE, CONNECTIONS, ROUTER, LIBRARY, TRANSFERS, PROCESSES];

/** Grafana's dashboard of a node, as JSON. */
export function dashboard(): string {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: own } of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      gridPos: { x: 0, y: y++, w: GRID_WIDTH, h: 1 },
      panels: [],
    });
    own.forEach((panel, index) => {
      const x = (index * PANEL_WIDTH) % GRID_WIDTH;
      if (index > 0 && x === 0) y += PANEL_HEIGHT;
      panels.push(timeSeries(panel, panels.length + 1, x, y));
    });
    y += PANEL_HEIGHT;
  }
  return `${JSON.stringify(
    {
      uid: 'filbert',
      title: 'Filbert',
      tags: ['filbert'],
      schemaVersion: 39,
      editable: true,
      refresh: '30s',
      time: { from: 'now-3h', to: 'now' },
      templating: {
        list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
      },
      panels,
    },
    undefined,
    2,
  )}\n`;
}

function timeSeries(
  { title, description, unit, queries, stacked = false }: Panel,
  id: number,
  x: number,
  y: number,
): object {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  return {
    id,
    type: 'timeseries',
    title,
    description,
    gridPos: { x, y, w: PANEL_WIDTH, h: PANEL_HEIGHT },
    datasource,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        custom: { fillOpacity: stacked ? 30 : 0, stacking: { mode: stacked ? 'normal' : 'none' } },
      },
      overrides: [],
    },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource,
      expr,
      legendFormat: legend,
    })),
  };
}
