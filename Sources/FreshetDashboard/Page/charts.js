// Lines over time. The past is kept by the dashboard's process; the page asks for what it does not have yet.

import {el, rebuild, say, svg} from './dom.js';
import {NONE, clock, count, ms, rate, score} from './format.js';
import {table} from './tables.js';

const HEIGHT = 190, LEFT = 54, RIGHT = 12, TOP = 10, BOTTOM = 24;

/** `zero`: the axis begins there. `mark`: a line at the value that is right. */
const CHARTS = [
  {title: 'AUC', note: 'higher is better', format: score, lines: [['auc', 'recent'], ['auc_total', 'in total']], task: true},
  {title: 'Logloss', note: 'lower is better', format: score, lines: [['logloss', 'recent'], ['logloss_total', 'in total']], task: true},
  {title: 'Calibration', note: 'predicted ÷ observed; 1 is right', format: score, lines: [['calibration', 'recent'], ['calibration_total', 'in total']], task: true, mark: 1},
  {title: 'Freshness', note: 'from an action to scores that reflect it', format: ms, lines: [['freshness_p50_ms', 'p50'], ['freshness_p99_ms', 'p99']], zero: true},
  {title: 'Throughput', note: 'actions in, examples learned', format: rate, lines: [['examples_per_second', 'learned'], ['actions_per_second', 'actions']], zero: true},
  {title: 'Waiting', note: 'records behind each stage', format: count, lines: [['unlearned', 'not learned'], ['unjoined', 'not joined']], zero: true},
];

export class Past {
  constructor() {
    this.range = 'short';
    this.forget();
  }

  forget() {
    this.next = 0;
    this.points = [];
    this.series = [];
  }

  /** Asks for the points that are missing. */
  async update(signal) {
    const range = this.range;
    const reply = await fetch(`api/history?range=${range}&after=${this.next - 1}`, {signal, cache: 'no-store'});
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const {step_ms: step, capacity, series, points, next} = await reply.json();
    if (range !== this.range) return;
    // Another life of the dashboard counts from 0 again.
    if (next < this.next) {
      this.forget();
      return this.update(signal);
    }
    Object.assign(this, {step, capacity, series, next});
    this.points.push(...points);
    this.points.splice(0, this.points.length - capacity);
  }

  column(name) {
    const index = this.series.indexOf(name);
    return index < 0 ? [] : this.points.map((point) => [point[0], point[index + 1]]);
  }
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const values = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) values.push(Math.round(value / step) * step + 0);
  return {values, step};
}

const TIMES = [5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600, 7200, 10_800, 21_600, 43_200].map((s) => s * 1000);

function path(points, x, y, gap) {
  let d = '', before = null;
  for (const [time, value] of points) {
    if (value === null) {
      before = null;
      continue;
    }
    d += `${before === null || time - before > gap ? 'M' : 'L'}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    before = time;
  }
  return d;
}

class Chart {
  constructor(spec, task, taskName) {
    this.spec = spec;
    this.names = spec.lines.map(([name]) => (spec.task ? `${name}.${task}` : name));
    const title = spec.task && taskName ? `${spec.title}, ${taskName}` : spec.title;
    this.title = title;
    this.values = spec.lines.map(() => el('b', {}, NONE));
    this.at = el('span', {class: 'at'});
    this.plot = el('div', {class: 'plot', tabindex: 0, role: 'img', 'aria-label': title});
    this.table = el('div');
    this.node = el('figure', {class: 'card chart'},
      el('figcaption', {}, el('h3', {}, title), el('p', {class: 'note'}, spec.note),
        el('p', {class: 'legend'}, ...spec.lines.map(([, label], index) => el('span', {class: `line-${index}`},
          svg('svg', {class: 'stroke', width: 18, height: 8, viewBox: '0 0 18 8', 'aria-hidden': 'true'}, svg('path', {d: 'M1 4h16', class: `curve line-${index}`})),
          `${label} `, this.values[index])), this.at)),
      this.plot, this.details = el('details', {}, el('summary', {}, 'As a table'), this.table));
    this.details.addEventListener('toggle', () => this.showTable());
    this.plot.addEventListener('pointermove', (event) => this.point(event.offsetX));
    this.plot.addEventListener('pointerleave', () => this.point(null));
    this.plot.addEventListener('blur', () => this.point(null));
    this.plot.addEventListener('keydown', (event) => {
      const move = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!move || !this.times?.length) return;
      event.preventDefault();
      const index = this.cursor === null ? this.times.length : this.times.indexOf(this.cursor);
      this.cursor = this.times[Math.min(this.times.length - 1, Math.max(0, index + move))];
      this.draw();
    });
    this.cursor = null;
  }

  point(offset) {
    this.cursor = offset === null || !this.times?.length ? null
      : this.times.reduce((best, time) => (Math.abs(this.x(time) - offset) < Math.abs(this.x(best) - offset) ? time : best));
    this.draw();
  }

  show(past) {
    this.past = past;
    this.columns = this.names.map((name) => past.column(name));
    this.times = past.points.map((point) => point[0]);
    if (!this.times.includes(this.cursor)) this.cursor = null;
    this.draw();
    this.showTable();
  }

  draw() {
    const {spec, columns, past} = this;
    if (!past) return;
    const width = Math.floor(this.plot.clientWidth);
    const values = columns.flat().map(([, value]) => value).filter((value) => value !== null);
    const shown = columns.map((column) => (this.cursor === null ? column.at(-1) : column.find(([time]) => time === this.cursor))?.[1] ?? null);
    shown.forEach((value, index) => say(this.values[index], spec.format(value)));
    say(this.at, this.cursor === null ? '' : `at ${clock(this.cursor)}`);
    const range = values.length ? `, between ${spec.format(Math.min(...values))} and ${spec.format(Math.max(...values))}` : '';
    this.plot.setAttribute('aria-label', `${this.title}: ${spec.lines.map(([, label], index) => `${label} ${spec.format(shown[index])}`).join(', ')}${range}. The table below has figures.`);
    if (width < 120) return;
    if (!values.length) {
      this.plot.replaceChildren(el('p', {class: 'empty'}, 'Nothing to show yet: waiting for examples.'));
      return;
    }
    let low = Math.min(...values), high = Math.max(...values);
    if (spec.mark !== undefined) [low, high] = [Math.min(low, spec.mark), Math.max(high, spec.mark)];
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    [low, high] = [spec.zero ? 0 : low - room, high + room];
    const last = this.times.at(-1);
    const span = Math.max(20_000, Math.min((past.capacity - 1) * past.step, last - this.times[0]));
    this.x = (time) => LEFT + (1 - (last - time) / span) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const {values: marks, step} = ticks(low, high, 4);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) + (/^2\.?5/.test(String(step / 10 ** Math.floor(Math.log10(step)))) ? 1 : 0);
    const parts = marks.map((value) => svg('g', {class: 'tick'}, svg('path', {d: `M${LEFT} ${y(value).toFixed(1)}H${width - RIGHT}`}),
      svg('text', {x: LEFT - 8, y: y(value) + 4, 'text-anchor': 'end'}, spec.format(value, digits))));
    const every = TIMES.find((size) => span / size <= Math.max(2, Math.floor((width - LEFT) / 90))) ?? TIMES.at(-1);
    const shift = new Date(last).getTimezoneOffset() * 60_000;
    for (let time = Math.ceil((last - span - shift) / every) * every + shift; time <= last; time += every) {
      if (this.x(time) < LEFT + 14 || this.x(time) > width - 22) continue;
      parts.push(svg('g', {class: 'tick'}, svg('text', {x: this.x(time), y: HEIGHT - 6, 'text-anchor': 'middle'}, clock(time, every < 60_000 ? 'second' : 'minute'))));
    }
    if (spec.mark !== undefined) parts.push(svg('path', {d: `M${LEFT} ${y(spec.mark)}H${width - RIGHT}`, class: 'right'}));
    columns.forEach((column, index) => parts.push(svg('path', {d: path(column, this.x, y, past.step * 3.5), class: `curve line-${index}`})));
    if (this.cursor !== null) {
      parts.push(svg('path', {d: `M${this.x(this.cursor)} ${TOP}V${HEIGHT - BOTTOM}`, class: 'cursor'}));
      shown.forEach((value, index) => value !== null && parts.push(svg('circle', {cx: this.x(this.cursor), cy: y(value), r: 3.5, class: `dot line-${index}`})));
    }
    this.plot.replaceChildren(svg('svg', {width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true'}, ...parts));
  }

  /** A dozen of the points, the newest first. */
  showTable() {
    if (!this.details.open || !this.past) return;
    const every = Math.max(1, Math.ceil(this.times.length / 12));
    const rows = this.times.map((time, index) => [time, ...this.columns.map((column) => column[index][1])])
      .filter((_, index) => (this.times.length - 1 - index) % every === 0).reverse();
    rebuild(this.table, rows, () => [table(this.title, [
      ['Time', (row) => clock(row[0])],
      ...this.spec.lines.map(([, label], index) => [label, (row) => this.spec.format(row[index + 1]), 'number']),
    ], rows, 'narrow')]);
  }
}

export class Charts {
  constructor(node, past) {
    this.node = node;
    this.past = past;
    this.charts = [];
  }

  /** A chart of each kind; those of tasks for every task. */
  prepare(tasks) {
    if (this.charts.length) return;
    const several = tasks.length > 1;
    for (const spec of CHARTS.filter((each) => each.task)) {
      tasks.forEach((name, task) => this.charts.push(new Chart(spec, task, several ? name : '')));
    }
    for (const spec of CHARTS.filter((each) => !each.task)) this.charts.push(new Chart(spec));
    this.node.replaceChildren(...this.charts.map((chart) => chart.node));
  }

  show() { for (const chart of this.charts) chart.show(this.past); }
}
