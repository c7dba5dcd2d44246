// The typed query: Kibana's query language, with fields and values offered while one types, and what is wrong pointed at.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Field } from "./api.ts";
import { fieldChoices, valueChoices, type Choice } from "./choices.ts";
import { compile, type Note } from "./kql/query.ts";
import { wantedAt } from "./kql/suggest.ts";
import type { Filter } from "./kibana.ts";
import type { Moments } from "./time.ts";

interface Properties {
  query: string;
  fields: Field[];
  range: Moments;
  filters: Filter[];
  go(query: string): void;
}

export function QueryBar({ query, fields, range, filters, go }: Properties) {
  const [text, setText] = useState(query);
  const [cursor, setCursor] = useState<number | null>(null);
  const [chosen, setChosen] = useState(-1);
  const [values, setValues] = useState<Choice[]>([]);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => setText(query), [query]);

  const compiled = useMemo(() => compile(text, fields), [text, fields]);
  const wanted = useMemo(() => (cursor === null ? null : wantedAt(text, cursor)), [text, cursor]);
  useEffect(() => {
    setValues([]);
    if (wanted === null || wanted.what !== "value" || wanted.field === null) return;
    const abort = new AbortController();
    // A letter that is followed by another at once needs no answer.
    const soon = setTimeout(() => {
      valueChoices(wanted, fields, range, filters, abort.signal).then(setValues, () => setValues([]));
    }, 150);
    return () => {
      clearTimeout(soon);
      abort.abort();
    };
    // Only what is typed asks again: a refresh of the page must not move a list under the user's hand.
  }, [wanted]);
  const choices = wanted === null ? [] : wanted.what === "value" ? values : fieldChoices(wanted, fields);

  const take = (choice: Choice) => {
    if (wanted === null) return;
    const made = text.slice(0, wanted.from) + choice.insert + text.slice(wanted.to);
    const at = wanted.from + choice.insert.length;
    setText(made);
    setCursor(at);
    setChosen(-1);
    input.current?.focus();
    // The value is set when the page has drawn it.
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
  };
  const apply = () => {
    setCursor(null);
    setChosen(-1);
    if (compiled.error === null) go(text.trim());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const choice = choices[chosen];
    if (event.key === "Escape") setCursor(null);
    else if ((event.key === "Enter" || event.key === "Tab") && choice !== undefined) take(choice);
    else if (event.key === "Enter") apply();
    else if (event.key === "ArrowDown" && choices.length > 0) setChosen((chosen + 1) % choices.length);
    else if (event.key === "ArrowUp" && choices.length > 0) setChosen(chosen <= 0 ? choices.length - 1 : chosen - 1);
    else return;
    event.preventDefault();
  };
  const seen = () => setCursor(input.current?.selectionStart ?? null);

  return (
    <div class="query">
      <input
        ref={input}
        role="combobox"
        aria-label="Query in Kibana's query language"
        aria-expanded={choices.length > 0}
        aria-controls="choices"
        aria-autocomplete="list"
        aria-activedescendant={chosen >= 0 ? `choice-${chosen}` : undefined}
        // Half a query is not wrong while it is being typed.
        aria-invalid={compiled.error !== null && cursor === null && text.trim() !== ""}
        autocomplete="off"
        spellcheck={false}
        placeholder={'Query, such as  sourcePodNamespace: "shop" and not protocol: "UDP"'}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setChosen(-1);
          seen();
        }}
        onClick={seen}
        onKeyUp={(event) => {
          if (event.key === "ArrowLeft" || event.key === "ArrowRight" || event.key === "Home" || event.key === "End") seen();
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setCursor(null)}
      />
      <button disabled={compiled.error !== null || text.trim() === query} onClick={apply}>
        Apply
      </button>
      {query !== "" && (
        <button
          onClick={() => {
            setText("");
            go("");
          }}
        >
          Clear
        </button>
      )}
      <ul class="choices" id="choices" role="listbox" aria-label="What could be typed here" hidden={choices.length === 0}>
        {choices.map((choice, place) => (
          <li
            key={choice.insert}
            id={`choice-${place}`}
            role="option"
            aria-selected={place === chosen}
            // Before the field loses the focus, and with it this list.
            onMouseDown={(event) => {
              event.preventDefault();
              take(choice);
            }}
          >
            <span>{choice.shown}</span> <small>{choice.about}</small>
          </li>
        ))}
      </ul>
      {compiled.error !== null && cursor === null && text.trim() !== "" && <Pointed text={text} note={compiled.error} bad />}
      {compiled.error === null && cursor === null && compiled.notes.map((note) => <Pointed text={text} note={note} key={note.from} />)}
    </div>
  );
}

// A note beneath the text that it is about, with its place marked.
function Pointed({ text, note, bad = false }: { text: string; note: Note; bad?: boolean }) {
  return (
    <p class={bad ? "pointed bad" : "pointed"} role={bad ? "alert" : "status"}>
      <code>
        {text.slice(0, note.from)}
        <mark>{text.slice(note.from, note.to) || "␣"}</mark>
        {text.slice(note.to)}
      </code>{" "}
      {note.message}
    </p>
  );
}
