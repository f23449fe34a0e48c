import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { failures, of, orZero, quantiles, rate, total } from './queries.ts';

const SELECTED = 'job=~"$job",instance=~"$instance"';

describe('queries of panels', () => {
  it('select the agents that are chosen on the dashboard', () => {
    assert.equal(of('a', 'b="c"'), `a{${SELECTED},b="c"}`);
    assert.equal(total('a'), `sum(increase(a{${SELECTED}}[$__range]))`);
    assert.equal(rate('a', 'b'), `sum by (b) (rate(a{${SELECTED}}[$__rate_interval]))`);
  });

  it('show zero for failures that never happened', () => {
    const [all, each] = failures('a', 'reason', 'Failures');
    assert.equal(all?.expr, orZero(rate('a')));
    assert.deepEqual(each, { expr: rate('a', 'reason'), legend: 'Failures: {{reason}}' });
  });

  it('keep the buckets of a histogram apart, and label its quantiles', () => {
    const queries = quantiles('a_seconds', 'Time', 'kind');
    assert.deepEqual(
      queries.map(({ legend }) => legend),
      ['Time {{kind}} p50', 'Time {{kind}} p99'],
    );
    assert.match(queries[1]?.expr ?? '', /^histogram_quantile\(0\.99, sum by \(le, kind\)/);
  });
});
