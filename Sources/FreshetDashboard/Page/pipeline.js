// The pipeline as a picture, side by side where there is room and from top to bottom where there is not.

import {el, rebuild, sign, svg} from './dom.js';
import {NONE, count, ms, plural, rate} from './format.js';
import {table} from './tables.js';

const WIDE = 1160;
const ROWS = 6;
/** Room for the borders of boxes. */
const EDGE = 2;
const TOPIC = 52;
const HEAD = 30, ROW = 22, FOOT = 8;

const TITLES = {
  joiner: ['joiner', 'joiners'], trainer: ['trainer', 'trainers'], ps: ['parameter server', 'parameter servers'],
  serve: ['replica', 'replicas'], archive: ['archive', 'archives'],
};
const EMPTY = {
  joiner: 'none: nothing is joined', trainer: 'none: examples wait', ps: 'none', serve: 'none: nobody answers',
};

/** What a process shows of its work in the picture. */
function work(process) {
  const {figures} = process;
  switch (process.role) {
    case 'joiner': return rate(figures.joined_per_second);
    case 'trainer': return rate(figures.examples_per_second);
    case 'ps': return `${count(figures.rows)} rows`;
    case 'serve': return `${ms(figures.age_ms)} old`;
    default: return rate(figures.records_per_second);
  }
}

function model(state) {
  const groups = {}, topics = {};
  for (const role of ['joiner', 'trainer', 'ps', 'serve', 'archive']) {
    const members = state.processes.filter((process) => process.role === role);
    if (role === 'archive' && !members.length) continue;
    // Those that are not well are never among the ones left out.
    const unwell = (process) => (process.health === 'up' ? 1 : 0);
    const shown = members.length > ROWS ? [...members].sort((a, b) => unwell(a) - unwell(b)).slice(0, ROWS) : members;
    const lines = Math.max(1, shown.length + (members.length > ROWS ? 1 : 0));
    groups[role] = {members, shown, height: HEAD + lines * ROW + FOOT};
  }
  for (const topic of state.topics) topics[topic.purpose] = topic;
  return {groups, topics};
}

function wide(m, width) {
  const [topic, group] = [128, 172];
  const gap = (width - 2 * topic - 4 * group) / 5;
  const upper = Math.max(...['trainer', 'ps', 'serve'].map((role) => m.groups[role].height));
  const lower = Math.max(TOPIC, m.groups.archive?.height ?? 0);
  const top = 4, bottom = Math.max(top + upper + 44 + lower, top + 3 * TOPIC + 2 * 36);
  const [yU, yL] = [top + upper / 2, bottom - lower / 2];
  const x = [0, topic + gap, topic + group + 2 * gap, 2 * topic + group + 3 * gap, 2 * topic + 2 * group + 4 * gap,
    2 * topic + 3 * group + 5 * gap];
  const at = (x, y, w, h) => ({x, y: y - h / 2, w, h});
  const boxes = {
    features: at(x[0], top + TOPIC / 2, topic, TOPIC), actions: at(x[0], (top + bottom) / 2, topic, TOPIC),
    items: at(x[0], bottom - TOPIC / 2, topic, TOPIC), joiner: {x: x[1], y: top, w: group, h: bottom - top},
    examples: at(x[2], yU, topic, TOPIC), dead_letter: at(x[2], yL, m.groups.archive ? topic - 32 : topic, TOPIC),
    trainer: at(x[3], yU, group, m.groups.trainer.height), ps: at(x[4], yU, group, m.groups.ps.height),
    serve: at(x[5], yU, group, m.groups.serve.height),
  };
  if (m.groups.archive) boxes.archive = at(x[3], yL, group, m.groups.archive.height);
  const across = (from, to, y) => ({
    d: `M${boxes[from].x + boxes[from].w} ${y}H${boxes[to].x - 2}`,
    x: (boxes[from].x + boxes[from].w + boxes[to].x) / 2 - 3, y, anchor: 'middle',
  });
  const route = bottom + 26, end = boxes.serve.x + boxes.serve.w / 2;
  const [bend, start] = [boxes.examples.x + topic, boxes.trainer.x - gap / 2];
  return {
    boxes, height: route + 26,
    lines: {
      'features joiner': across('features', 'joiner', top + TOPIC / 2),
      'actions joiner': across('actions', 'joiner', (top + bottom) / 2),
      'items joiner': across('items', 'joiner', bottom - TOPIC / 2),
      'joiner examples': across('joiner', 'examples', yU), 'joiner dead_letter': across('joiner', 'dead_letter', yL),
      'examples trainer': across('examples', 'trainer', yU), 'trainer ps': across('trainer', 'ps', yU),
      'ps serve': across('ps', 'serve', yU),
      'examples archive': {
        d: `M${bend - 16} ${yU + TOPIC / 2 - 6}V${yL - 10}q0 10 10 10H${x[3] - 2}`, x: start, y: yL, anchor: 'middle',
      },
      'items serve': {
        d: `M${topic / 2} ${bottom}V${route - 8}q0 8 8 8H${end - 8}q8 0 8-8V${boxes.serve.y + boxes.serve.h + 2}`,
        x: (topic + end) / 2, y: route, anchor: 'middle',
      },
    },
  };
}

function tall(m, width) {
  const gap = 64, margin = 22, space = 10;
  const full = width - margin;
  const third = (full - 2 * space) / 3;
  const major = Math.round(full * 0.6), minor = full - major - space;
  const boxes = {};
  let y = 2;
  const row = (height, ...cells) => {
    for (const [name, x, w] of cells) boxes[name] = {x, y, w, h: height};
    y += height + gap;
  };
  row(TOPIC, ['features', 0, third], ['actions', third + space, third], ['items', 2 * (third + space), third]);
  row(m.groups.joiner.height, ['joiner', 0, full]);
  row(TOPIC, ['examples', 0, major], ['dead_letter', major + space, minor]);
  const {archive} = m.groups;
  row(Math.max(m.groups.trainer.height, archive?.height ?? 0), ['trainer', 0, archive ? major : full],
    ...(archive ? [['archive', major + space, minor]] : []));
  row(m.groups.ps.height, ['ps', 0, full]);
  row(m.groups.serve.height, ['serve', 0, full]);
  const down = (from, to, x) => ({
    d: `M${x} ${boxes[from].y + boxes[from].h}V${boxes[to].y - 2}`, x: x + 8,
    y: (boxes[from].y + boxes[from].h + boxes[to].y) / 2 - 2, anchor: 'start',
  });
  const middle = (name) => boxes[name].x + boxes[name].w / 2;
  const turn = major + space + 16, edge = boxes.examples.y + TOPIC, side = width - 8;
  const [from, to] = [boxes.items.y + TOPIC / 2, boxes.serve.y + boxes.serve.h / 2];
  const lines = {
    'features joiner': down('features', 'joiner', third * 0.25),
    'actions joiner': down('actions', 'joiner', boxes.actions.x + third * 0.25),
    'items joiner': down('items', 'joiner', boxes.items.x + third * 0.25),
    'joiner examples': down('joiner', 'examples', major * 0.3),
    'joiner dead_letter': down('joiner', 'dead_letter', boxes.dead_letter.x + minor * 0.25),
    'examples trainer': down('examples', 'trainer', major * 0.3), 'trainer ps': down('trainer', 'ps', major * 0.3),
    'ps serve': down('ps', 'serve', major * 0.3),
    'items serve': {d: `M${boxes.items.x + third} ${from}H${side - 6}q6 0 6 6V${to - 6}q0 6-6 6H${full + 2}`},
  };
  if (archive) {
    lines['examples archive'] = {
      d: `M${major - 20} ${edge}v${gap / 2 - 8}q0 8 8 8H${turn - 8}q8 0 8 8V${boxes.archive.y - 2}`,
      x: turn + 8, y: edge + gap - 18, anchor: 'start',
    };
  }
  return {boxes, lines, height: y - gap + 4, middle};
}

const text = (x, y, content, attributes) => svg('text', {x, y, ...attributes}, content);

function topicBox(topic, box) {
  const name = box.w < 110 && topic.name.length > 12 ? `${topic.name.slice(0, 11)}…` : topic.name;
  return svg('g', {class: 'topic'}, svg('rect', {x: box.x, y: box.y, width: box.w, height: box.h, rx: TOPIC / 2}),
    text(box.x + box.w / 2, box.y + 23, name, {class: 'name', 'text-anchor': 'middle'}),
    text(box.x + box.w / 2, box.y + 40, topic.end === null ? 'not read yet' : `at ${count(topic.end)}`, {class: 'small', 'text-anchor': 'middle'}));
}

/** What else there is to say of joiners, where their box is tall. */
function facts(members) {
  const sum = (name) => members.reduce((all, process) => all + (process.figures[name] ?? 0), 0);
  if (!members.some((process) => process.figures.items !== undefined)) return [];
  return [`${count(sum('waiting_features'))} impressions wait`, `${count(sum('waiting_actions'))} actions wait`,
    `${count(Math.max(...members.map((process) => process.figures.items ?? 0)))} items known`];
}

function groupBox(role, group, box) {
  const {members, shown} = group;
  const narrow = box.w < 150;
  const lines = shown.map((process, index) => {
    const y = box.y + HEAD + index * ROW + 14;
    const isUp = process.health === 'up';
    return [sign(process.health, box.x + 18, y - 4), text(box.x + 32, y, narrow ? `${process.id.split('-').at(-1)}` : process.id, {}),
      text(box.x + box.w - 12, y, isUp ? work(process) : process.health, {class: isUp ? 'small' : `state ${process.health}`, 'text-anchor': 'end'})];
  });
  if (members.length > shown.length) {
    lines.push(text(box.x + 32, box.y + HEAD + shown.length * ROW + 14, `and ${members.length - shown.length} more`, {class: 'small'}));
  }
  if (role === 'joiner' && box.h > group.height + 60) {
    facts(members).forEach((fact, index, all) => lines.push(text(box.x + 14, box.y + box.h - 14 - (all.length - 1 - index) * 18, fact, {class: 'small'})));
  }
  if (!members.length) lines.push(text(box.x + 14, box.y + HEAD + 14, EMPTY[role], {class: 'small'}));
  const worst = members.some((process) => ['down', 'held'].includes(process.health));
  return svg('g', {class: worst ? 'group unwell' : 'group'},
    svg('rect', {x: box.x, y: box.y, width: box.w, height: box.h, rx: 8}),
    text(box.x + 14, box.y + 22, TITLES[role][members.length === 1 ? 0 : 1], {class: 'name'}), ...lines.flat());
}

function arrow(flow, line, halo) {
  const flowing = flow.per_second > 0;
  const width = 1.5 + Math.min(2, Math.log10(1 + Math.max(0, flow.per_second ?? 0)) / 2.5);
  const parts = [svg('path', {d: line.d, class: flowing ? 'line flowing' : 'line', 'stroke-width': width.toFixed(2), 'marker-end': 'url(#tip)'})];
  if (line.x === undefined) return parts;
  const between = line.anchor === 'middle';
  const label = {x: line.x, 'text-anchor': line.anchor};
  const passes = rate(flow.per_second);
  parts.push(text(line.x, line.y - (between ? 8 : 4), passes, {...label, class: flowing ? 'rate' : 'rate quiet'}));
  if (flow.waiting !== null) {
    const calm = flow.waiting === 0 ? 'none waits' : `${count(flow.waiting)} wait`;
    parts.push(text(line.x, line.y + (between ? 18 : 13), calm, {...label, class: 'small'}));
  }
  if (halo) for (const part of parts.slice(1)) part.classList.add('halo');
  return parts;
}

export function drawPipeline(node, state) {
  const width = Math.floor(node.clientWidth) - 2 * EDGE;
  if (width < 200) return;
  const m = model(state);
  const layout = width >= WIDE ? wide(m, width) : tall(m, width);
  const parts = [];
  for (const flow of state.flows) {
    const line = layout.lines[`${flow.from} ${flow.to}`];
    if (line) parts.push(...arrow(flow, line, flow.to === 'archive' || flow.from === 'items'));
  }
  for (const [purpose, topic] of Object.entries(m.topics)) parts.push(topicBox(topic, layout.boxes[purpose]));
  for (const [role, group] of Object.entries(m.groups)) parts.push(groupBox(role, group, layout.boxes[role]));
  const height = Math.ceil(layout.height);
  node.replaceChildren(svg('svg', {
    width: width + 2 * EDGE, height, viewBox: `${-EDGE} 0 ${width + 2 * EDGE} ${height}`, role: 'img',
    'aria-label': 'From the topics features, actions and items by the joiner to examples, trainers, parameter servers and replicas. The tables below say the same.',
  }, svg('defs', {}, svg('marker', {id: 'tip', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto', markerUnits: 'userSpaceOnUse'},
    svg('path', {d: 'M0 0L8 4L0 8Z', class: 'tip'}))), ...parts));
}

const PLACES = {dead_letter: 'dead letters', ps: 'parameter servers', serve: 'replicas', trainer: 'trainers'};
const place = (name) => PLACES[name] ?? name;

export function showFlows(node, state) {
  rebuild(node, state.flows, () => [table('What passes and what waits between the parts', [
    ['From', (flow) => place(flow.from)], ['To', (flow) => place(flow.to)],
    ['Passes', (flow) => (flow.per_second === null ? NONE : `${rate(flow.per_second)} ${flow.unit}`), 'number'],
    ['Waits', (flow) => (flow.waiting === null ? NONE : plural(flow.waiting, flow.waiting_unit.replace(/s$/, ''))), 'number'],
  ], state.flows, 'narrow')]);
}

export function showKey(node) {
  const words = {up: 'up', loading: 'loading', stale: 'stale', held: 'held by the guard', down: 'down'};
  node.replaceChildren(...Object.entries(words).map(([health, word]) => el('li', {},
    svg('svg', {class: 'mark', viewBox: '-7 -7 14 14', width: 14, height: 14, 'aria-hidden': 'true'}, sign(health, 0, 0)), word)));
}
