// English: the heat strip of an activation.
import { count } from '../number_format';

export const strip = {
  role: 'heat strip',
  label: (name: string) => `${name}: one row per token. Arrow keys move, Enter locks the row.`,
  ofHead: (head: number, index: number) => `head ${head}, ${index}`,
  value: (token: string, dimension: string, value: string) =>
    `${token}  dimension ${dimension}: ${value}`,
  row: (token: string, length: string, above: string) =>
    `${token}  has length ${length}; ${above}% of its values are above zero.`,
  strongest: 'Furthest from zero',
  legend: 'Value',
  clipped: (limit: string, most: string) =>
    `Values beyond ±${limit} share the last colour; the furthest is ${most} from zero.`,
  pooled: (columns: number) =>
    `There are ${count(columns)} values in a row, more than pixels: each pixel shows the one furthest from zero.`,
};
