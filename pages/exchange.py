"""Import and export: agents and conversations of other machines and tools come in here, and this agent goes out."""

import streamlit as st

from pages.parts import exchange_export, exchange_import, frame

with frame.enter("Import and export") as here:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("#### Import and export", width="content")
        st.caption("Files in and out of this home. Nothing is ever half imported, and nothing leaves by itself.")
    left, right = st.columns(2, gap="large")
    with left:
        exchange_import.draw(here)
    with right:
        exchange_export.draw(here)
