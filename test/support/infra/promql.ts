import { parser } from '@prometheus-io/lezer-promql';

/** What an expression asks of Prometheus: a metric, and the labels by which it is selected or aggregated. */
export interface Selected {
  readonly metric: string;
  readonly labels: readonly string[];
}

/** The selectors of a PromQL expression. @throws Error when it does not parse */
export function selectorsOf(expr: string): readonly Selected[] {
  // Grafana's own variable is none of Prometheus.
  const text = expr.replaceAll('$__rate_interval', '5m');
  const selected: { readonly at: number; readonly metric: string; readonly labels: string[] }[] = [];
  const groupings: { readonly from: number; readonly to: number; readonly label: string }[] = [];
  parser.parse(text).iterate({
    enter({ node, name, from, to, type }) {
      const words = text.slice(from, to);
      if (type.isError) throw new Error(`not PromQL at "${text.slice(from)}": ${text}`);
      if (name === 'VectorSelector') {
        selected.push({ at: from, metric: /^[a-z_]+/.exec(words)?.[0] ?? '', labels: [] });
      } else if (name === 'LabelName' && node.parent?.name === 'GroupingLabels') {
        // Of `sum by (label) (…)`: what is aggregated has it.
        const whole = node.parent.parent?.parent;
        if (whole?.name === 'AggregateExpr') groupings.push({ from: whole.from, to: whole.to, label: words });
      } else if (name === 'LabelName') selected.at(-1)?.labels.push(words);
    },
  });
  return selected.map(({ at, metric, labels }) => {
    const grouped = groupings.filter(({ from, to }) => from <= at && at < to).map(({ label }) => label);
    return { metric, labels: [...labels, ...grouped] };
  });
}
