// Elements. Text only ever becomes text: nothing here or elsewhere parses HTML.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const $ = (id) => document.getElementById(id);
export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Sets a text if it is another one, so that screen readers hear what changed and nothing else. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const built = new WeakMap();

/** Fills a node anew when `key` is another one than last time; else selection and focus stay as they are. */
export function rebuild(node, key, children) {
  const text = JSON.stringify(key);
  if (built.get(node) === text) return;
  built.set(node, text);
  node.replaceChildren(...children());
}

/** The sign of a health state: a shape for each, so that colour is never alone. */
export function sign(health, x, y) {
  const shapes = {
    up: () => [svg('circle', {r: 5})],
    loading: () => [svg('circle', {r: 4.5, class: 'open'}), svg('path', {d: 'M0-4.5A4.5 4.5 0 0 1 0 4.5Z'})],
    stale: () => [svg('circle', {r: 4.5, class: 'open'})],
    held: () => [svg('path', {d: 'M-4-5h3v10h-3zM1-5h3v10h-3z'})],
    down: () => [svg('path', {d: 'M-4-4L4 4M4-4L-4 4', class: 'open'})],
    waiting: () => [svg('circle', {r: 4.5, class: 'open dotted'})],
  };
  return svg('g', {class: `sign ${health}`, transform: `translate(${x} ${y})`}, ...shapes[health]());
}

export function signed(health, text) {
  const mark = svg('svg', {class: 'mark', viewBox: '-7 -7 14 14', width: 14, height: 14, 'aria-hidden': 'true'}, sign(health, 0, 0));
  return el('span', {class: `health ${health}`}, mark, text ?? health);
}
