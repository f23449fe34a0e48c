import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import { BigValueGraphMode } from '@grafana/grafana-foundation-sdk/common';
import {
  type Dashboard,
  DashboardBuilder,
  DatasourceVariableBuilder,
  type Panel,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

import { DASHBOARD_ROWS } from './panels.ts';

type PanelRow = (typeof DASHBOARD_ROWS)[string][number];

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
/** Sizes of panels. Grafana's grid has 24 columns. */
const NUMBER = { width: 6, height: 4 };
const GRAPH = { width: 12, height: 8 };

/** Builds the dashboard in Grafana's import format. */
export function buildDashboard(): Dashboard {
  const dashboard = new DashboardBuilder('Peerglass')
    .uid('peerglass')
    .description('Is it working, is it healthy, is it fast, what is it costing: top down.')
    .tags(['peerglass'])
    .timezone('browser')
    .refresh('1m')
    .time({ from: 'now-6h', to: 'now' })
    .withVariable(
      new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'),
    )
    .withVariable(variable('job', 'label_values(peerglass_ready, job)'))
    .withVariable(variable('instance', 'label_values(peerglass_ready{job=~"$job"}, instance)'));
  let id = 0;
  for (const [title, panels] of Object.entries(DASHBOARD_ROWS)) {
    id += 1;
    dashboard.withRow(new RowBuilder(title).id(id));
    for (const panel of panels) {
      id += 1;
      dashboard.withPanel(builderOf(panel, id));
    }
  }
  return dashboard.build();
}

function variable(name: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .query(query)
    .datasource(DATASOURCE)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .multi(true)
    .includeAll(true)
    .allValue('.+')
    .current({ selected: true, text: 'All', value: '$__all' });
}

function builderOf(panel: PanelRow, id: number): Builder<Panel> {
  const { title, description, unit, queries } = panel;
  const { width, height } = panel.kind === 'number' ? NUMBER : GRAPH;
  const builder =
    panel.kind === 'number'
      ? new StatBuilder().graphMode(BigValueGraphMode.None)
      : new TimeseriesBuilder().min(0).fillOpacity(10);
  builder
    .id(id)
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .unit(unit)
    .span(width)
    .height(height);
  for (const [index, { expr, legend }] of queries.entries()) {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode('A'.charCodeAt(0) + index))
      .datasource(DATASOURCE)
      .expr(expr)
      .legendFormat(legend);
    builder.withTarget(panel.kind === 'number' ? query.instant() : query.range());
  }
  return builder;
}
