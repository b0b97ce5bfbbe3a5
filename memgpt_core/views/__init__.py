"""Views: `(state, rows)` to table rows, spans and chart figures. Pure; no I/O, no streamlit."""
