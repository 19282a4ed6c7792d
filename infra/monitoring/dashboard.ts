import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  type Dashboard,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { ReduceDataOptionsBuilder } from '@grafana/grafana-foundation-sdk/common';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as SeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { ROWS, STATS, type Panel, type Stat } from './panels.ts';

/** The Grafana dashboard of one deployment. `dashboard.json` beside it is what this gives, and a test compares the two. */

const SOURCE = { type: 'prometheus', uid: '${datasource}' };
/** Grafana's grid is 24 wide. */
const STAT = { width: 4, height: 4 };
const SERIES = { width: 8, height: 8 };

/** Builds the dashboard. */
export function buildDashboard(): Dashboard {
  const board = new DashboardBuilder('Everlog')
    .uid('everlog')
    .tags(['everlog'])
    .description('Whether every GitHub Actions log is archived, and what stands in the way')
    .refresh('1m')
    .time({ from: 'now-24h', to: 'now' })
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(
      new QueryVariableBuilder('job')
        .label('Deployment')
        .datasource(SOURCE)
        .query('label_values(everlog_build_info, job)')
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .includeAll(true)
        .allValue('.*'),
    )
    .withRow(new RowBuilder('Is anything missing?'));
  for (const stat of STATS) board.withPanel(statOf(stat));
  for (const { title, panels } of ROWS) {
    board.withRow(new RowBuilder(title));
    for (const panel of panels) board.withPanel(seriesOf(panel));
  }
  const built = board.build();
  for (const [index, panel] of (built.panels ?? []).entries()) panel.id = index + 1;
  return built;
}

function statOf({ bad, isLowBad = false, ...panel }: Stat): StatBuilder {
  const [fine, wrong] = ['green', 'red'];
  const steps = [
    { value: null, color: isLowBad ? wrong : fine },
    { value: bad, color: isLowBad ? fine : wrong },
  ];
  const builder = new StatBuilder()
    .title(panel.title)
    .description(panel.says)
    .unit(panel.unit)
    .datasource(SOURCE)
    .span(STAT.width)
    .height(STAT.height)
    .noValue('not known')
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps));
  for (const query of queriesOf(panel)) builder.withTarget(query.instant());
  return builder;
}

function seriesOf(panel: Panel): SeriesBuilder {
  const builder = new SeriesBuilder()
    .title(panel.title)
    .description(panel.says)
    .unit(panel.unit)
    .datasource(SOURCE)
    .span(SERIES.width)
    .height(SERIES.height)
    .min(0);
  for (const query of queriesOf(panel)) builder.withTarget(query.range());
  return builder;
}

function queriesOf({ queries }: Panel): readonly DataqueryBuilder[] {
  return queries.map(({ expr, legend }, index) =>
    new DataqueryBuilder().expr(expr).legendFormat(legend).refId('ABCDEFGH'.charAt(index)),
  );
}
