// The filters in force: made by clicks on marks and cells, or typed as field and value.

import { useState } from "preact/hooks";

import type { Field } from "./api.ts";
import { filterText, type Filter } from "./kibana.ts";
import { withFilter, type View } from "./state.ts";

interface Properties {
  filters: Filter[];
  fields: Field[];
  go(change: Partial<View>): void;
}

export function FilterBar({ filters, fields, go }: Properties) {
  const [field, setField] = useState("");
  const [value, setValue] = useState("");
  const known = fields.find((one) => one.name === field);
  const add = (event: Event) => {
    event.preventDefault();
    if (known === undefined || value === "") return;
    const typed = known.type === "number" && Number.isFinite(Number(value)) ? Number(value) : value;
    go({ filters: withFilter(filters, { query: { match_phrase: { [field]: typed } }, negate: false }) });
    setValue("");
  };
  const at = (place: number, change: Filter | null) =>
    go({ filters: filters.flatMap((one, index) => (index !== place ? [one] : change === null ? [] : [change])) });
  return (
    <div class="filters" role="group" aria-label="Filters">
      {filters.map((filter, place) => (
        <span class={`filter${filter.negate ? " negated" : ""}`} key={JSON.stringify(filter)}>
          <button
            class="plain"
            title={filter.negate ? "Show only these" : "Leave these out instead"}
            onClick={() => at(place, { ...filter, negate: !filter.negate })}
          >
            {filter.negate && "not "}
            {filterText(filter)}
          </button>
          <button class="plain" aria-label={`Remove the filter ${filterText(filter)}`} title="Remove" onClick={() => at(place, null)}>
            ×
          </button>
        </span>
      ))}
      <form onSubmit={add}>
        <input
          list="fields"
          placeholder="field"
          aria-label="Field to filter by"
          value={field}
          onInput={(event) => setField(event.currentTarget.value)}
        />
        <input
          placeholder="value"
          aria-label="Value to filter by"
          value={value}
          onInput={(event) => setValue(event.currentTarget.value)}
        />
        <button disabled={known === undefined || value === ""}>Add filter</button>
        <datalist id="fields">
          {fields.map((one) => (
            <option value={one.name} key={one.name} />
          ))}
        </datalist>
      </form>
    </div>
  );
}
