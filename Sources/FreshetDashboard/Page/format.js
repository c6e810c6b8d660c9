// How numbers look, all of them.

export const NONE = '–';
const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumSignificantDigits: 3});
const is = (value) => value !== null && value !== undefined && Number.isFinite(value);

export function count(value) {
  if (!is(value)) return NONE;
  return Math.abs(value) < 10_000 ? whole.format(value) : short.format(value).replace('K', 'k');
}

/** With all its digits. */
export const exact = (value) => (is(value) ? whole.format(value) : NONE);

export function rate(value) {
  if (!is(value)) return NONE;
  if (value > 0 && value < 1) return `${value.toFixed(1)}/s`;
  return `${count(value)}/s`;
}

export function ms(value) {
  if (!is(value)) return NONE;
  if (value < 1000) return `${value < 10 && value > 0 ? value.toFixed(1) : whole.format(value)} ms`;
  return seconds(value / 1000);
}

export function seconds(value) {
  if (!is(value)) return NONE;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172_800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86_400)} days`;
}

export function bytes(value) {
  if (!is(value)) return NONE;
  for (const [unit, size] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(value < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${whole.format(value)} B`;
}

/** AUC, logloss, calibration, scores. */
export const score = (value, digits = 4) => (is(value) ? value.toFixed(digits) : NONE);

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

const clocks = {
  minute: new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', hour12: false}),
  second: new Intl.DateTimeFormat(undefined, {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false}),
};
export const clock = (time, unit = 'second') => (is(time) ? clocks[unit].format(time) : NONE);
