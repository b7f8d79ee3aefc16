// The page's elements. Data from the server is inserted as text, never as markup.

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element; children are elements or text.
 *
 * @param {string} name
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const space = 'http://www.w3.org/2000/svg';

/** Makes an SVG element. */
export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Sets a text unless the element has it already, so that a selection in it is kept. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes a cell; `full` is its tooltip, for a text that is cut. */
export function cell(text, { kind = '', full = '', head = false } = {}) {
  const td = make(head ? 'th' : 'td', { className: kind }, text);
  if (head) td.scope = 'row';
  if (full) td.title = full;
  return td;
}

/**
 * Fills a table with rows of cells, or with one line that explains why there are none.
 * It changes nothing if all texts are the same as before.
 *
 * @param {HTMLTableElement} table
 * @param {HTMLTableCellElement[][]} rows
 * @param {string} empty
 */
export function fill(table, rows, empty) {
  const body = table.tBodies[0];
  const made = rows.length
    ? rows.map((cells) => make('tr', {}, ...cells))
    : [make('tr', { className: 'empty' }, make('td', { colSpan: table.tHead.rows[0].cells.length }, empty))];
  const same = made.length === body.rows.length && made.every((row, i) => row.isEqualNode(body.rows[i]));
  if (!same) body.replaceChildren(...made);
}

/** Shows names and values. */
export function facts(list, pairs) {
  const made = pairs.map(([name, text]) => make('div', {}, make('dt', {}, name), make('dd', {}, text)));
  const same = made.length === list.children.length && made.every((node, i) => node.isEqualNode(list.children[i]));
  if (!same) list.replaceChildren(...made);
}
